import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { getDocPageAsync } from "@optique/core/parser";
import { systemClock } from "@lib/core/clock.ts";
import { loadCommands, makeGrammar } from "../../cmd/runner/commands/cli.ts";

const MAIN = new URL("../../cmd/runner/main.ts", import.meta.url).pathname;
const DOC = new URL("../../docs/cli.md", import.meta.url);
const LISTEN_WITHIN_MS = 20_000;

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A runner with directories of its own; agents are its children. */
class RunnerUnderTest implements AsyncDisposable {
  readonly #dir: string;
  #daemon: Deno.ChildProcess | undefined;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async start(): Promise<RunnerUnderTest> {
    const runner = new RunnerUnderTest(await Deno.makeTempDir({ prefix: "cicd-cli-" }));
    await runner.startDaemon();
    return runner;
  }

  get socket(): string {
    return `${this.#dir}/r.sock`;
  }

  get #directories(): readonly string[] {
    return [`--state-dir=${this.#dir}/state`, `--runtime-dir=${this.#dir}/run`];
  }

  async startDaemon(): Promise<void> {
    const args = [
      "daemon",
      `--socket=${this.socket}`,
      ...this.#directories,
      "--agent-idle-exit=3s",
    ];
    this.#daemon = command(args, {}, "null").spawn();
    const until = systemClock.now() + LISTEN_WITHIN_MS;
    while ((await this.cli(["version"], {})).code !== 0 || !await listens(this.socket)) {
      assert.ok(systemClock.now() < until, "the daemon does not listen");
    }
  }

  async stopDaemon(): Promise<void> {
    this.#daemon?.kill("SIGTERM");
    await this.#daemon?.status;
    this.#daemon = undefined;
  }

  cli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Result> {
    return output(this.spawn(args, env));
  }

  spawn(args: readonly string[], env: Readonly<Record<string, string>> = {}): Deno.ChildProcess {
    return command(args, { CICD_SOCKET: this.socket, ...env }).spawn();
  }

  async write(name: string, text: string): Promise<string> {
    await Deno.writeTextFile(`${this.#dir}/${name}`, text, { mode: 0o600 });
    return `${this.#dir}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopDaemon();
    for (const pid of await processesWith(this.#dir)) Deno.kill(pid, "SIGTERM");
    while ((await processesWith(this.#dir)).length > 0) await systemClock.sleep(20);
    await Deno.remove(this.#dir, { recursive: true });
  }
}

function command(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  to: "piped" | "null" = "piped",
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", MAIN, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: to,
    stderr: to,
  });
}

async function output(child: Deno.ChildProcess): Promise<Result> {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

function listens(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path }, () => resolve(true));
    socket.once("error", () => resolve(false)).once("connect", () => socket.destroy());
  });
}

/** The processes that name a directory: the agents, which are in sessions of their own. */
async function processesWith(directory: string): Promise<readonly number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (line.includes(directory)) found.push(Number(name));
  }
  return found;
}

Deno.test("cicd-runner talks to a real runner", async (t) => {
  await using runner = await RunnerUnderTest.start();
  const lastLine = ({ stderr }: Result) => stderr.trimEnd().split("\n").at(-1) ?? "";

  await t.step("run exits with the job's exit code and says how it ended", async () => {
    const result = await runner.cli(["run", "-p", "web", "--", "sh", "-c", "echo out; exit 3"]);
    assert.equal(result.code, 3);
    assert.equal(result.stdout, "out\n");
    assert.match(lastLine(result), /^cicd-runner: job [0-9a-f-]{36} failed \(exit code 3, .* wall/);
  });

  await t.step("run starts where it is called, or in a fresh workspace", async () => {
    const here = await runner.cli(["run", "-p", "web", "--", "pwd"]);
    assert.equal(here.stdout, `${Deno.cwd()}\n`);
    const below = await runner.cli(["run", "-p", "web", "--workdir", "docs", "--", "pwd"]);
    assert.equal(below.stdout, `${Deno.cwd()}/docs\n`);
    const fresh = await runner.cli(["run", "-p", "web", "--workspace", "--", "ls", "-A"]);
    assert.deepEqual([fresh.code, fresh.stdout], [0, ""]);
  });

  await t.step("run reports a signal and a time limit by their codes", async () => {
    assert.equal((await runner.cli(["run", "--", "sh", "-c", "kill -9 $$"])).code, 137);
    assert.equal((await runner.cli(["run", "--timeout", "200ms", "--", "sleep", "30"])).code, 124);
    assert.equal((await runner.cli(["run", "--", "/no/such/program"])).code, 127);
  });

  await t.step("run passes arguments, variables and secrets on as they are", async () => {
    const file = await runner.write("token", "s3cret-value\n");
    const script =
      'printf "%s|" "$0" "$@" "$GIVEN" "$PASSED"; [ "$TOKEN" = s3cret-value ] && echo ok';
    const result = await runner.cli([
      "run",
      "--env=GIVEN=a=b",
      "--env=PASSED",
      `--secret=TOKEN=file:${file}`,
      "--",
      "sh",
      "-c",
      script,
      "zero",
      "--json",
      "it's $HOME",
    ], { PASSED: "on" });
    assert.equal(result.stdout, "zero|--json|it's $HOME|a=b|on|ok\n");
  });

  await t.step("run reads a job file and names the place of what is refused", async () => {
    const good = await runner.write(
      "job.yaml",
      "project: web\nenv: { V: 1.10 }\nscript: echo $V\n",
    );
    assert.equal((await runner.cli(["run", "--file", good])).stdout, "1.10\n");
    const bad = await runner.write(
      "bad.yaml",
      "project: web\nscript: x\nlimits:\n  memory: much\n",
    );
    const refused = await runner.cli(["submit", "--file", bad]);
    assert.equal(refused.code, 65);
    assert.match(refused.stderr, /bad\.yaml:4:3: limits\.memory is "much"/);
  });

  await t.step("run loses no byte of the log when the runner is restarted", async () => {
    const script = 'i=0; while [ $i -lt 6000 ]; do i=$((i+1)); echo "line $i"; ' +
      "[ $((i % 100)) = 0 ] && sleep 0.03; done; exit 7";
    const child = runner.spawn(["run", "-p", "web", "--", "sh", "-c", script]);
    const result = output(child);
    const until = systemClock.now() + LISTEN_WITHIN_MS;
    const running = async () => (await runner.cli(["jobs", "--state=running", "--json"])).stdout;
    while (await running() === "") assert.ok(systemClock.now() < until, "the job does not run");
    await runner.stopDaemon();
    await runner.startDaemon();
    const { code, stdout, stderr } = await result;
    assert.equal(code, 7, stderr);
    assert.match(stderr, /the runner is unreachable; trying again/);
    const lines = Array.from({ length: 6000 }, (_, index) => `line ${index + 1}\n`);
    assert.ok(stdout === lines.join(""), "the log differs");
  });

  await t.step("Ctrl-C cancels the job", async () => {
    const child = runner.spawn(["run", "-p", "web", "--", "sh", "-c", "echo up; sleep 60"]);
    const [first, rest] = child.stdout.tee();
    const reader = first.getReader();
    assert.equal(new TextDecoder().decode((await reader.read()).value), "up\n");
    await Promise.all([reader.cancel(), rest.cancel()]);
    child.kill("SIGINT");
    const { code } = await child.status;
    const stderr = await new Response(child.stderr).text();
    assert.equal(code, 130, stderr);
    assert.match(stderr, /job [0-9a-f-]{36} cancelled/);
  });

  await t.step("submit, wait, show, logs, retry and cancel work together", async () => {
    const script = 'echo "run $CICD_ATTEMPT" >&2; exit 4';
    const submitted = await runner.cli([
      "submit",
      "-p",
      "api",
      "--output=split",
      "--",
      "sh",
      "-c",
      script,
    ]);
    const id = submitted.stdout.trim();
    assert.equal((await runner.cli(["wait", id])).code, 4);
    const shown: unknown = JSON.parse(
      (await runner.cli(["show", id.slice(0, 13), "--json"])).stdout,
    );
    assert.ok(typeof shown === "object" && shown !== null && "state" in shown);
    assert.equal(shown.state, "failed");
    assert.equal((await runner.cli(["logs", "--stream=stderr", id])).stdout, "run 1\n");
    assert.equal((await runner.cli(["logs", "--tail=2", id])).stdout, "1\n");
    assert.match((await runner.cli(["logs", "-ft", id])).stdout, /^\d{4}-\S+Z run 1\n$/);
    const again = await runner.cli(["retry", "--follow", id]);
    assert.deepEqual([again.code, again.stdout], [4, "run 2\n"]);
    const refused = await runner.cli(["cancel", "no-such-job", id]);
    assert.equal(refused.code, 66);
    assert.equal(refused.stderr.trim().split("\n").length, 2);
  });

  await t.step("last, last~1 and the shown ids name jobs; candidates are listed", async () => {
    const submit = async () =>
      (await runner.cli(["submit", "-p", "web", "--", "true"])).stdout.trim();
    const [before, newest] = [await submit(), await submit()];
    const idOf = async (text: string) =>
      JSON.parse((await runner.cli(["show", "--json", text])).stdout).id;
    assert.equal(await idOf("last"), newest);
    assert.equal(await idOf("last~1"), before);
    assert.equal(await idOf(newest.slice(0, 13)), newest);
    const several = await runner.cli(["cancel", newest.slice(0, 4)]);
    assert.equal(several.code, 66);
    assert.match(
      several.stderr,
      /several ids begin with that; give more of it\n {2}[0-9a-f-]{36}: /,
    );
    const none = await runner.cli(["logs", "last~999"]);
    assert.match(none.stderr, /Cannot find job "last~999": there are only \d+ jobs/);
    assert.equal((await runner.cli(["wait", "last", "last~1"])).code, 0);
  });

  await t.step("run says id, place in the queue and reason while it waits", async () => {
    await runner.cli(["pause", "web"]);
    const first = (await runner.cli(["submit", "-p", "web", "--", "true"])).stdout.trim();
    const child = runner.spawn(["run", "-p", "web", "--", "true"]);
    const [stderr, rest] = child.stderr.tee();
    let said = "";
    for await (const text of stderr.pipeThrough(new TextDecoderStream())) {
      said += text;
      if (said.includes("\n")) break;
    }
    assert.match(said, /^cicd-runner: job [0-9a-f-]{36} queued \(1 ahead of it\): .*paused/);
    await runner.cli(["resume", "web"]);
    await Promise.all([rest.cancel(), child.stdout.cancel()]);
    assert.equal((await child.status).code, 0);
    assert.equal((await runner.cli(["wait", first])).code, 0);
  });

  await t.step("a mistake is explained, as JSON with --json", async () => {
    const problem = async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await runner.cli(args);
      assert.equal(stdout, "");
      return `${code} ${stderr.trim()}`;
    };
    assert.equal(
      await problem("jbos"),
      '64 cicd-runner: Unknown command "jbos"; did you mean "jobs"?',
    );
    assert.match(
      await problem("help", "nothing"),
      /^64 cicd-runner: Unknown command "nothing"; see/,
    );
    assert.equal(
      await problem("run", "-p", "web", "ls", "-la"),
      "64 cicd-runner: Put -- before the job's command: cicd-runner run -p web -- ls -la",
    );
    assert.match(await problem("jobs", "--limit", "0"), /It is 0; give a whole number from 1/);
    for (
      const [args, expected] of [
        [["show", "last~999", "--json"], "job_not_found"],
        [["cancel", "last~999", "--json"], "job_not_found"],
        [["jobs", "--limt", "3", "--json"], "usage"],
        [
          ["submit", "--json", "-p", "web", "--workdir", "../x", "--workspace", "--", "x"],
          "invalid_request",
        ],
      ] as const
    ) {
      const { stderr } = await runner.cli(args);
      assert.equal(JSON.parse(stderr).code, expected, stderr);
    }
    const config = await runner.write("bad-config.yaml", "queue: { max_runing: 3 }\n");
    const { stderr } = await runner.cli(["config", "show", "--config", config]);
    assert.equal(stderr.split("max_runing").length, 2, stderr);
  });

  await t.step("jobs goes through all pages", async () => {
    const { stdout } = await runner.cli(["jobs", "--all", "--json"]);
    const jobs: unknown[] = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assert.ok(jobs.length >= 9);
    assert.match(
      (await runner.cli(["jobs", "-p", "api"])).stdout,
      /^ID +PROJECT.*\n.* api +failed +exit 4/,
    );
  });

  await t.step("jobs does not mind that nobody reads it", async () => {
    const child = runner.spawn(["jobs", "--all"]);
    await child.stdout.cancel();
    const { code } = await child.status;
    assert.equal(code, 0);
    assert.equal(await new Response(child.stderr).text(), "");
  });

  await t.step("queues are paused, resumed and drained", async () => {
    assert.match((await runner.cli(["pause", "web"])).stdout, /^web: paused/);
    assert.match((await runner.cli(["projects"])).stdout, /web +paused/);
    assert.match((await runner.cli(["resume", "web"])).stdout, /^web: open/);
    assert.match(
      (await runner.cli(["drain", "--wait", "api"])).stdout,
      /^api: draining, 0 running/,
    );
    const refused = await runner.cli(["submit", "-p", "api", "--", "true"]);
    assert.equal(refused.code, 75);
    assert.match(refused.stderr, /draining; try again in \d+ s/);
  });

  await t.step("status and retention answer", async () => {
    assert.match((await runner.cli(["status"])).stdout, /^cicd-runner \S+ {2}ready/);
    assert.match((await runner.cli(["retention"])).stdout, /^Would remove 0 jobs/);
  });

  await t.step("a command says how to start a runner that is not there", async () => {
    const { code, stderr } = await runner.cli(["jobs", "--socket", `${runner.socket}.none`]);
    assert.equal(code, 69);
    assert.match(stderr, /systemctl --user start cicd-runner\.socket/);
  });
});

Deno.test("cicd-runner --socket-activation relays a connection on standard input", async () => {
  const dir = await Deno.makeTempDir({ prefix: "cicd-conn-" });
  try {
    const args = ["--socket-activation", `--state-dir=${dir}/state`, `--runtime-dir=${dir}/run`];
    const child = spawn(Deno.execPath(), ["run", "--quiet", "--allow-all", MAIN, ...args], {
      stdio: ["pipe", "pipe", "ignore"],
      env: Object.fromEntries(
        Object.entries(Deno.env.toObject()).filter(([name]) =>
          !/^(LISTEN_|INVOCATION_ID|CICD_)/.test(name)
        ),
      ),
    });
    child.stdin.end("GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    const chunks: string[] = [];
    for await (const chunk of child.stdout) chunks.push(String(chunk));
    assert.match(chunks.join(""), /^HTTP\/1\.1 200 OK\r\n[^]*"ready":true/);
  } finally {
    for (const pid of await processesWith(dir)) Deno.kill(pid, "SIGTERM");
    while ((await processesWith(dir)).length > 0) await systemClock.sleep(20);
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("cicd-runner --socket-activation answers that it cannot start the daemon, and ends", async () => {
  const dir = await Deno.makeTempDir({ prefix: "cicd-conn-" });
  try {
    const args = ["--socket-activation", `--state-dir=${dir}/state`, `--runtime-dir=${dir}/run`];
    const child = spawn(Deno.execPath(), ["run", "--quiet", "--allow-all", MAIN, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
      // In a unit, without a service manager to ask for another.
      env: { PATH: Deno.env.get("PATH"), HOME: dir, INVOCATION_ID: "1", XDG_RUNTIME_DIR: dir },
    });
    const ended = once(child, "exit");
    // The client waits for its answer: it does not disconnect.
    child.stdin.write("GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const [answer, journal] = await Promise.all([text(child.stdout), text(child.stderr)]);
    assert.match(answer, /^HTTP\/1\.1 503 [^]*\r\n\r\n\{.*"code":"systemd_unavailable".*\}\n$/);
    assert.deepEqual(await ended, [69, null], journal);
    assert.match(journal, /^cicd-runner: /);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("docs/cli.md has every command and flag of the grammar", async () => {
  const grammar = makeGrammar(await loadCommands(), {
    jobIds: () => Promise.resolve([]),
    projects: () => Promise.resolve([]),
  });
  const doc = await Deno.readTextFile(DOC);
  const page = await getDocPageAsync(grammar);
  const entries = page?.sections.flatMap((section) => section.entries) ?? [];
  const names = entries.flatMap(({ term }) => term.type === "command" ? [term.name] : []);
  assert.ok(names.length > 20, `only ${names.length} commands were found`);
  for (const name of names) {
    assert.match(doc, new RegExp(`^### (.*, )?${name}(,|$)`, "m"), `${name} has no section`);
    assert.match(
      doc,
      new RegExp(`^cicd-runner ${name}\\b|\\(cicd-runner ${name}\\b`, "m"),
      `${name} has no example`,
    );
    const help = await getDocPageAsync(grammar, [name]);
    for (const { term } of help?.sections.flatMap((section) => section.entries) ?? []) {
      if (term.type !== "option") continue;
      const long = term.names.find((flag) => flag.startsWith("--")) ?? "";
      assert.ok(doc.includes(`${long}`), `${name} ${long} is not in docs/cli.md`);
    }
  }
});
