import assert from "node:assert/strict";
import { fromFileUrl } from "@lib/core/file_url.ts";

const MAIN = fromFileUrl(new URL("../../cmd/runner/main.ts", import.meta.url).href);
const BODY = JSON.stringify({ project: "web", command: ["/bin/true"] });
const SUBMISSION = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n" +
  `Content-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;

/** A runner that its first client starts, and the socket of an agent of "web". */
class Asleep implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "waking-" });
  readonly socket = `${this.directory}/r.sock`;
  readonly agents = `${this.directory}/xdg/cicd-toolkit/agents`;
  readonly #process: Deno.ChildProcess;

  constructor(config: string) {
    Deno.mkdirSync(this.agents, { recursive: true, mode: 0o700 });
    Deno.writeTextFileSync(`${this.directory}/config.yaml`, config);
    this.#process = new Deno.Command("systemd-socket-activate", {
      args: [
        `--listen=${this.socket}`,
        ...["--setenv=HOME", "--setenv=XDG_RUNTIME_DIR"],
        ...[Deno.execPath(), "run", "--quiet", "--allow-all", MAIN, "daemon"],
        `--config=${this.directory}/config.yaml`,
        `--state-dir=${this.directory}/state`,
        `--runtime-dir=${this.directory}/run`,
      ],
      env: { HOME: this.directory, XDG_RUNTIME_DIR: `${this.directory}/xdg` },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  /** Connects as soon as the socket listens. */
  async connect(): Promise<Deno.UnixConn> {
    while (true) {
      try {
        return await Deno.connect({ transport: "unix", path: this.socket });
      } catch (error) {
        const isEarly = error instanceof Deno.errors.NotFound ||
          error instanceof Deno.errors.ConnectionRefused;
        if (!isEarly) throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  /** Asks the runner to stop. */
  stop(): void {
    this.#process.kill("SIGTERM");
  }

  async [Symbol.asyncDispose]() {
    try {
      this.stop();
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#process.status;
    await Deno.remove(this.directory, { recursive: true });
  }
}

async function send(connection: Deno.UnixConn, text: string): Promise<void> {
  const writer = connection.writable.getWriter();
  await writer.write(new TextEncoder().encode(text));
  writer.releaseLock();
}

/** Reads until the answers contain `end`. */
async function readTo(connection: Deno.UnixConn, end: RegExp): Promise<string> {
  const decoder = new TextDecoder();
  const bytes = new Uint8Array(16 * 1024);
  let text = "";
  while (!end.test(text)) {
    const count = await connection.read(bytes);
    if (count === null) break;
    text += decoder.decode(bytes.subarray(0, count), { stream: true });
  }
  return text;
}

Deno.test("a job that wakes the runner wakes its agent before anything is read or opened", async () => {
  await using t = new Asleep("this: is\n  no: configuration\n");
  using agent = Deno.listen({ transport: "unix", path: `${t.agents}/web.sock` });
  using client = await t.connect();
  await send(client, SUBMISSION);
  using _knock = await agent.accept();
  // The runner cannot start, and still answers the client that it had accepted.
  assert.match(await readTo(client, /"code"/), /"code": ?"invalid_config"/);
});

Deno.test("the first connection of a runner is served like any other", async () => {
  await using t = new Asleep("agents: child\nagent_idle_exit: 1s\n");
  using client = await t.connect();
  await send(client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  assert.match(await readTo(client, /\r\n\r\n/), /^HTTP\/1\.1 200/);
  // It is kept for the next request.
  await send(client, SUBMISSION);
  const accepted = await readTo(client, /"id": ?"[^"]+"/);
  assert.match(accepted, /HTTP\/1\.1 201[^]*"project": ?"web"/);
  // Its agent would outlive the runner, and write into the directory.
  const id = /"id": ?"([^"]+)"/.exec(accepted)?.[1];
  await send(client, `GET /v1/jobs/${id}/wait HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await readTo(client, /"state": ?"succeeded"/);
});

Deno.test("a runner that is to stop while it starts serves the client that it has accepted", async () => {
  await using t = new Asleep("agents: child\n");
  using agent = Deno.listen({ transport: "unix", path: `${t.agents}/web.sock` });
  using client = await t.connect();
  await send(client, SUBMISSION);
  using _knock = await agent.accept();
  t.stop();
  assert.match(await readTo(client, /"id"/), /^HTTP\/1\.1 201[^]*"project": ?"web"/);
});
