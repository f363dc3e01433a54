// deno-lint-ignore-file no-control-regex -- what terminals show has control characters
import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import { dialWebSocket, type WebSocketLink } from "@lib/foundations/http/web_socket_client.ts";
import { openScreen } from "@lib/foundations/terminal/screen.ts";
import { isAlive, pause, residentBytes, RunnerBench } from "../support/runner_process.ts";

const PLAIN = "executor: direct\nagents: child\n";
const ENCODER = new TextEncoder();

async function bench(config = ""): Promise<RunnerBench> {
  const t = new RunnerBench({ config: `${PLAIN}${config}`, idleExit: "60s" });
  await t.start();
  return t;
}

interface Told {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A client that keeps everything that it gets. */
class Client implements Disposable {
  readonly told: Told[] = [];
  readonly frames: number[] = [];
  text = "";
  bytes = 0;
  readonly #decoder = new TextDecoder();
  readonly link: WebSocketLink;
  #heard = Promise.withResolvers<void>();

  constructor(link: WebSocketLink) {
    this.link = link;
    void link.closed.then(() => this.#wake());
  }

  read(): this {
    this.link.listen((message) => {
      if (typeof message === "string") this.told.push(JSON.parse(message));
      else {
        this.frames.push(message.length);
        this.bytes += message.length;
        this.text = (this.text + this.#decoder.decode(message, { stream: true })).slice(-1_000_000);
      }
      this.#wake();
    });
    return this;
  }

  type(text: string): Promise<void> {
    return this.link.send(ENCODER.encode(text));
  }

  say(message: unknown): Promise<void> {
    return this.link.send(JSON.stringify(message));
  }

  of(type: string): readonly Told[] {
    return this.told.filter((message) => message.type === type);
  }

  async until(what: string, isThere: () => boolean, timeoutMs = 30_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!isThere()) {
      if (Date.now() > deadline) {
        throw new Error(
          `${what} does not come: ${this.text.slice(-500)} ${this.told.at(-1)?.type}`,
        );
      }
      await Promise.race([this.#heard.promise, pause(100)]);
    }
  }

  get session(): string {
    return String(this.of("hello")[0]?.["session"]);
  }

  [Symbol.dispose](): void {
    this.link[Symbol.dispose]();
  }

  #wake(): void {
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }
}

interface Wish {
  readonly command?: readonly string[];
  readonly query?: Readonly<Record<string, string>>;
}

async function dial(t: RunnerBench, { command = [], query = {} }: Wish = {}): Promise<Client> {
  const fields = new URLSearchParams({ columns: "80", rows: "24", ...query });
  for (const word of command) fields.append("command", word);
  const link = await dialWebSocket({
    at: { socketPath: t.socket },
    path: `/v1/projects/web/terminal?${fields}`,
    maxReceiveBytes: 16 * 1024 * 1024,
  }, AbortSignal.timeout(60_000));
  return new Client(link);
}

async function open(t: RunnerBench, wish?: Wish): Promise<Client> {
  const client = (await dial(t, wish)).read();
  await client.until("the hello", () => client.of("hello").length === 1);
  return client;
}

async function listed(t: RunnerBench) {
  return (await t.json("GET", "/v1/terminals")).body.terminals;
}

Deno.test("a terminal echoes, tells its size, passes on the exit code, and leaves nothing", async () => {
  await using t = await bench();
  const script = "stty size; (trap '' HUP; exec sleep 1000) & echo pid=$!; read line; exit 7";
  using client = await open(t, { command: ["sh", "-c", script] });
  await client.until("the pid", () => /pid=\d+\r\n/.test(client.text));
  assert.match(client.text, /^24 80\r\n/);
  const pid = Number(/pid=(\d+)/.exec(client.text)?.[1]);
  assert.equal(isAlive(pid), true);
  await client.type("on\r");
  assert.deepEqual(await client.link.closed, { code: 1000, text: "" });
  assert.deepEqual(client.of("exit"), [
    { type: "exit", exit_code: 7, signal: null, reason: "exited", text: "exited with 7" },
  ]);
  for (let tries = 0; isAlive(pid) && tries < 100; tries++) await pause(20);
  assert.equal(isAlive(pid), false);
  assert.deepEqual(await listed(t), []);
});

Deno.test("characters that are cut at the border of a frame arrive whole, both ways", async () => {
  await using t = await bench();
  using client = await open(t, { command: ["cat"] });
  for (const byte of ENCODER.encode("漢字 é 👩‍💻\r")) await client.link.send(Uint8Array.of(byte));
  await client.until("both lines", () => client.text.split("漢字 é 👩‍💻").length === 3);
  assert.doesNotMatch(client.text, /\ufffd/);
});

Deno.test("a terminal goes on without a viewer, and who joins sees the screen", async () => {
  await using t = await bench();
  const script = "printf 'one\\033[5;10Htwo\\033[31m'; read line; printf three; cat";
  let session: string;
  {
    using client = await open(t, { command: ["sh", "-c", script] });
    await client.until("two", () => client.text.includes("two"));
    session = client.session;
  }
  using again = await open(t, { query: { session } });
  await again.until("the screen", () => again.text.includes("two"));
  assert.deepEqual(again.told.map(({ type }) => type).slice(0, 2), ["hello", "screen"]);
  assert.match(again.text, /one/);
  assert.match(again.text, /\x1b\[5;13H$/);
  await again.type("\r");
  await again.until("what follows", () => again.text.includes("three"));
});

Deno.test("one writes, the others watch; the next one writes when it leaves", async () => {
  await using t = await bench();
  using writer = await open(t, { command: ["cat"] });
  const query = { session: writer.session };
  using second = await open(t, { query });
  using watcher = await open(t, { query: { ...query, read_only: "1" } });
  assert.deepEqual([writer, second, watcher].map((one) => one.of("hello")[0]?.["role"]), [
    "writer",
    "viewer",
    "viewer",
  ]);
  await second.type("not this");
  await second.until("a refusal", () => second.of("notice").length === 1);
  assert.equal(second.of("notice")[0]?.["code"], "read_only");
  await writer.type("this");
  await watcher.until("the echo", () => watcher.text.includes("this"));
  await watcher.say({ type: "take" });
  await watcher.until("a refusal", () => watcher.of("notice").length === 1);
  await second.say({ type: "take" });
  await second.until("the role", () => second.of("role").at(-1)?.["role"] === "writer");
  await writer.until("the role", () => writer.of("role").at(-1)?.["role"] === "viewer");
  second.link.close();
  await writer.until("the role", () => writer.of("role").at(-1)?.["role"] === "writer");
  assert.doesNotMatch(watcher.text, /not/);
});

Deno.test("ten thousand changes of the size are merged, the last one counts, and it is told", async () => {
  await using t = await bench();
  using client = await open(t, {
    command: ["sh", "-c", "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done"],
  });
  await client.until("the program", () => client.text.includes("up"));
  for (let count = 0; count < 10_000; count++) {
    await client.say({ type: "resize", columns: 60 + count % 100, rows: 20 + count % 10 });
  }
  await client.say({ type: "resize", columns: 133, rows: 44 });
  await client.until("the last size", () => client.text.includes("44 133"));
  assert.ok(client.of("size").length < 2_000, `${client.of("size").length} sizes`);
  assert.ok(client.of("notice").some(({ code }) => code === "resizes_merged"));
  const [terminal] = await listed(t);
  assert.deepEqual([terminal.columns, terminal.rows], [133, 44]);
});

Deno.test("input that no program reads waits at the client, is told, and costs no memory", async () => {
  await using t = await bench();
  using client = await open(t, { command: ["sh", "-c", "stty raw -echo; echo up; sleep 1000"] });
  await client.until("the program", () => client.text.includes("up"));
  const [agent = 0] = t.agentPids();
  const before = residentBytes(agent) + residentBytes(t.pid);
  const piece = new Uint8Array(64 * 1024).fill(120);
  let sent = 0;
  const sending = (async () => {
    // A gigabyte, if it were taken.
    for (let count = 0; count < 16 * 1024; count++) {
      await client.link.send(piece);
      sent += piece.length;
    }
  })();
  void sending.catch(() => "it ends with its connection");
  await client.until(
    "a word",
    () => client.of("notice").some(({ code }) => code === "input_waits"),
  );
  let seen = -1;
  for (let same = 0; same < 5; same = sent === seen ? same + 1 : 0) {
    seen = sent;
    await pause(50);
  }
  assert.ok(sent < 32 * 1024 * 1024, `${sent} bytes were taken`);
  const grown = residentBytes(agent) + residentBytes(t.pid) - before;
  assert.ok(grown < 64 * 1024 * 1024, `${grown} bytes more`);
  // The terminal can still be ended.
  await t.json("POST", `/v1/projects/web/terminals/${client.session}/kill`);
  assert.deepEqual(await listed(t), []);
});

Deno.test("a viewer that never reads holds its program, is seen, and costs no memory; another skips it", async () => {
  await using t = await bench();
  const flood = [
    "sh",
    "-c",
    "read go; yes 'a line of output that is long enough' | head -c 100000000",
  ];
  using starter = await open(t, { command: flood });
  const { session } = starter;
  // Nobody takes what comes.
  using deaf = await dial(t, { query: { session } });
  const [agent = 0] = t.agentPids();
  const before = residentBytes(agent) + residentBytes(t.pid);
  let most = 0;
  starter.link.close();
  while ((await listed(t))[0]?.viewers.length !== 1) await pause(20);
  // It is alone now, and writes.
  await deaf.type("\r");
  let stalled: number | null = null;
  for (let tries = 0; stalled === null && tries < 300; tries++) {
    stalled = (await listed(t))[0]?.stalled_seconds ?? null;
    most = Math.max(most, residentBytes(agent) + residentBytes(t.pid) - before);
    await pause(50);
  }
  assert.notEqual(stalled, null, "it is not told");
  // Who joins is not held for long by it.
  using live = await open(t, { query: { session, read_only: "1" } });
  await live.until("the output", () => live.bytes > 4_000_000, 60_000);
  most = Math.max(most, residentBytes(agent) + residentBytes(t.pid) - before);
  assert.ok(most < 96 * 1024 * 1024, `${most} bytes more`);
  // When it reads at last, it learns what it has missed, and sees the screen.
  deaf.read();
  await deaf.until(
    "a word",
    () => deaf.of("notice").some(({ code }) => code === "skipped"),
    60_000,
  );
  await deaf.until("the screen", () => deaf.of("screen").length > 0);
});

Deno.test("a recording is asciicast v2, with whole characters, and stops at its limit", async () => {
  await using t = await bench("terminals: { record_max: 4096 }\n");
  using client = await open(t, { command: ["cat"], query: { record: "1" } });
  assert.equal(client.of("hello")[0]?.["recording"], true);
  for (const byte of ENCODER.encode("é\r")) await client.link.send(Uint8Array.of(byte));
  await client.say({ type: "resize", columns: 90, rows: 30 });
  await client.until("both", () => client.text.split("é").length === 3);
  await client.until("the size", () => client.of("size").length > 0);
  const path = `${t.stateDir}/projects/web/recordings/${client.session}.cast`;
  const [header, ...events] = Deno.readTextFileSync(path).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.deepEqual([header.version, header.width, header.height], [2, 80, 24]);
  assert.equal(
    events.filter(([, kind]) => kind === "o").map(([, , text]) => text).join(""),
    "é\r\né\r\n",
  );
  assert.deepEqual(events.filter(([, kind]) => kind === "r").map(([, , text]) => text), ["90x30"]);
  assert.equal(Deno.statSync(path).mode ?? 0 & 0o777, Deno.statSync(path).mode ?? 0 & 0o600);
  await client.type(`${"x".repeat(2_000)}\r${"y".repeat(2_000)}\r`);
  await client.until(
    "a word",
    () => client.of("notice").some(({ code }) => code === "recording_stopped"),
  );
  assert.ok(Deno.statSync(path).size <= 4_096);
});

Deno.test("terminals can be switched off for a project, are counted, and end when nobody uses them", async () => {
  await using t = await bench(
    "terminals: { max_sessions: 1, idle_timeout: 2s }\n" +
      "projects: { closed: { terminals: { enabled: false } } }\n",
  );
  const closed = dialWebSocket({
    at: { socketPath: t.socket },
    path: "/v1/projects/closed/terminal",
    maxReceiveBytes: 1_000_000,
  }, AbortSignal.timeout(30_000));
  await assert.rejects(closed, { code: "forbidden" });
  using client = await open(t, { command: ["cat"] });
  await assert.rejects(open(t, { command: ["cat"] }), { code: "state_conflict" });
  await assert.rejects(open(t, { query: { session: "0123456789ab" } }), { code: "not_found" });
  await client.link.closed;
  const [exit] = client.of("exit");
  assert.equal(exit?.["reason"], "idle");
  assert.ok(client.of("notice").some(({ code }) => code === "ends"));
});

Deno.test("what a program makes its title and name cannot be obeyed by who lists terminals", async () => {
  await using t = await bench();
  using client = await open(t, {
    command: ["sh", "-c", "printf '\\033]0;evil\\342\\200\\256 txt\\007'; read x", "\x1b[2J"],
  });
  await client.until("the title", () => client.text.includes("evil"));
  client.link.close();
  let terminal = (await listed(t))[0];
  using again = await open(t, { query: { session: client.session } });
  await again.until("the screen", () => again.of("screen").length === 1);
  terminal = (await listed(t))[0];
  for (const field of ["title", "command", "foreground"]) {
    assert.doesNotMatch(terminal[field], /\p{C}/u, field);
  }
  assert.match(terminal.title, /^evil/);
  const { code, stdout } = await t.cli(["terminals"]);
  assert.equal(code, 0);
  assert.match(stdout, new RegExp(`${client.session} +web +sh`));
  assert.doesNotMatch(stdout, /\x1b\[2J/);
  const killed = await t.cli(["terminals", "--kill", client.session.slice(0, 6)]);
  assert.match(killed.stdout, new RegExp(`Ended ${client.session}`));
});

Deno.test("questions of a program that does not read the answers cost no memory", async () => {
  await using t = await bench();
  const script = 'stty raw -echo; echo up; read -r go; yes "$(printf "\\033[c")" | ' +
    "head -c 5000000; printf '\\033]0;over\\007'; sleep 1000";
  using client = await open(t, { command: ["bash", "-c", script] });
  await client.until("the program", () => client.text.includes("up"));
  await client.type("\n");
  client.link.close();
  const [agent = 0] = t.agentPids();
  const before = residentBytes(agent);
  let most = 0;
  // Nobody watches: the agent answers for the terminal.
  for (let tries = 0; (await listed(t))[0]?.title !== "over"; tries++) {
    assert.ok(tries < 600, "the output is not followed");
    most = Math.max(most, residentBytes(agent) - before);
    await pause(50);
  }
  assert.ok(most < 128 * 1024 * 1024, `${most} bytes more`);
});

Deno.test("a command that no program can get is refused", async () => {
  await using t = await bench();
  await assert.rejects(dial(t, { command: ["printf", "%s", "a\0b"] }), /NUL/);
  assert.deepEqual(await listed(t), []);
});

/** Runs `attach` in a terminal of its own; resolves with what it showed. */
async function attach(
  t: RunnerBench,
  args: readonly string[],
  { keys, env = {} }: {
    readonly keys: (type: (text: string) => Promise<void>, seen: Seen) => Promise<void>;
    readonly env?: Readonly<Record<string, string>>;
  },
): Promise<string> {
  const command = ["deno", "run", "--quiet", "--allow-all", t.main, "attach", ...args]
    .map((word) => `'${word}'`).join(" ");
  const before = "stty -a >before; ";
  const after = '; code=$?; stty -a >after; cmp before after && echo "sane $code"; echo over';
  const child = new Deno.Command("script", {
    args: ["--quiet", "--flush", "-c", `${before}${command}${after}`, "/dev/null"],
    cwd: t.directory,
    env: { HOME: t.directory, TERM: "xterm-256color", SHELL: "/bin/sh", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "";
  const reading = (async () => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) text += chunk;
  })();
  const writer = child.stdin.getWriter();
  const seen = async (what: string) => {
    const deadline = Date.now() + 30_000;
    while (!text.includes(what)) {
      if (Date.now() > deadline) throw new Error(`${what} is not shown: ${text}`);
      await pause(20);
    }
    return text;
  };
  await keys((typed) => writer.write(ENCODER.encode(typed)), seen);
  await seen("over");
  await writer.close();
  await reading;
  await child.status;
  return text;
}

type Seen = (what: string) => Promise<string>;

Deno.test("attach passes keys and the exit code on, is left by keys and SIGTERM, and restores the terminal", async () => {
  await using t = await bench();
  const at = [`--socket=${t.socket}`, "web"];
  const script = 'printf "\\033[?1049h\\033[?2004hready "; read line; echo "got $line"; exit 5';
  const ended = await attach(t, [...at, "--", "sh", "-c", script], {
    async keys(type, seen) {
      await seen("ready");
      await type("é\x10\r");
    },
  });
  assert.match(ended, /got é/);
  assert.match(ended, /sane 5/);
  const left = await attach(t, [...at, "--", "sh", "-c", script], {
    async keys(type, seen) {
      await seen("ready");
      await type("\x1c\x1c");
    },
  });
  assert.match(left, /detached; 'cicd-runner attach web --session [0-9a-f]{12}' returns/);
  assert.match(left, /sane 0/);
  // The modes that the program has set are undone.
  assert.match(left, /\x1b\[\?1049l[^]*\x1b\[\?2004l/);
  const [{ id }] = await listed(t);
  const killed = await attach(t, [...at, "--session", id], {
    async keys(_, seen) {
      await seen("ready");
      for (const pid of attachedTo(id)) Deno.kill(pid, "SIGTERM");
    },
  });
  assert.match(killed, /sane 143/);
  const quit = await attach(t, [...at, "--session", id], {
    async keys(_, seen) {
      await seen("ready");
      for (const pid of attachedTo(id)) Deno.kill(pid, "SIGQUIT");
    },
  });
  assert.match(quit, /sane 131/);
  const again = await attach(t, [...at, "--session", id], {
    async keys(type, seen) {
      await seen("ready");
      await type("still\r");
    },
  });
  assert.match(again, /got still/);
  assert.match(again, /sane 5/);
});

/** Returns the lines of a screen of 80 by 24 on which all this was shown. */
async function linesOf(text: string): Promise<readonly string[]> {
  using screen = openScreen({ columns: 80, rows: 24 }, { scrollback: 0, answer: () => {} });
  await new Promise<void>((done) => screen.write(ENCODER.encode(text), done));
  return stripVTControlCharacters(screen.draw(0)).split("\r\n").map((line) => line.trimEnd());
}

Deno.test("attach and terminals name a wrong id, a project without terminals, and who opened one", async () => {
  await using t = await bench("projects: { closed: { terminals: { enabled: false } } }\n");
  const refused: readonly [readonly string[], number, RegExp][] = [
    [["attach", "web", "--session", "x1"], 64, /--session.*"x1" is no id of a terminal; 'cicd-r/],
    [["attach", "web", "--session", "1f2e3d4c"], 66, /Cannot find terminal "1f2e3d4c": it has end/],
    [["attach", "closed"], 77, /"closed".*terminals\.enabled/],
    [["attach", "a/b"], 66, /Cannot find project "a\/b"/],
    [["attach", "deadbeef"], 66, /Cannot find job "deadbeef"/],
    [["terminals", "--kill", "1f2e"], 66, /Cannot end terminal "1f2e": none has that id/],
  ];
  for (const [args, code, said] of refused) {
    const ended = await t.cli(args);
    assert.match(ended.stderr, said);
    assert.equal(ended.code, code);
  }
  using client = await open(t, { command: ["cat"] });
  const { stdout } = await t.cli(["terminals"]);
  assert.match(stdout, new RegExp(`^${client.session} +web +cat +\\S.* +request +1 +open$`, "m"));
});

Deno.test("what a terminal has shown stays in its place, and what comes next is below it", async () => {
  await using t = await bench();
  const at = [`--socket=${t.socket}`, "web"];
  const waits = ["--", "sh", "-c", 'printf "\\033[2;20rone\r\ntwo"; read line'];
  const left = await attach(t, [...at, ...waits], {
    async keys(type, seen) {
      await seen("two");
      await type("\x1c\x1c");
    },
  });
  const [{ id }] = await listed(t);
  assert.deepEqual((await linesOf(left)).slice(0, 5), [
    "one",
    "two",
    `cicd-runner: detached; 'cicd-runner attach web --session ${id}' returns`,
    "sane 0",
    "over",
  ]);
  const killed = await attach(t, [...at, "--session", id], {
    async keys(_, seen) {
      await seen("two");
      assert.equal((await t.cli(["terminals", "--kill", id])).code, 0);
    },
  });
  assert.deepEqual((await linesOf(killed)).slice(0, 4), [
    "one",
    "two",
    "cicd-runner: this terminal ends: killed by request",
    "cicd-runner: the terminal was killed",
  ]);
  const lost = await attach(t, [...at, ...waits], {
    async keys(_, seen) {
      await seen("two");
      for (const pid of t.agentPids()) Deno.kill(pid, "SIGKILL");
    },
  });
  const [, second, said, code] = (await linesOf(lost)).filter((line) =>
    !/reachable|back/.test(line)
  );
  assert.equal(second, "two");
  assert.match(said ?? "", /^cicd-runner: Terminal ".*" has ended while there was no connection$/);
  assert.equal(code, "sane 66");
  const ended = await attach(t, [...at, "--", "printf", "one\r\nthree "], {
    keys: () => Promise.resolve(),
  });
  assert.deepEqual((await linesOf(ended)).slice(0, 2), ["one", "three sane 0"]);
});

Deno.test("attach works over the network with a key that allows it", async () => {
  const port = freePort();
  await using t = await bench(`listen: { address: "127.0.0.1:${port}" }\n`);
  const key = async (scope: string) =>
    (await t.cli(["keys", "create", "--name", scope, "--scope", scope])).stdout.trim();
  const args = ["web", "--", "sh", "-c", "echo over the net; exit 4"];
  const reach = async (scope: string) => ({
    CICD_URL: `http://127.0.0.1:${port}`,
    CICD_API_KEY: await key(scope),
  });
  const env = await reach("terminal");
  const text = await attach(t, args, { env, keys: () => Promise.resolve() });
  assert.match(text, /over the net\r\n/);
  assert.match(text, /sane 4/);
  const refused = await attach(t, args, {
    env: await reach("submit"),
    keys: () => Promise.resolve(),
  });
  assert.match(refused, /this requires terminal/);
  assert.match(refused, /sane 77/);
});

/** The processes that are attached to a session. */
function attachedTo(id: string): readonly number[] {
  const pids = [...Deno.readDirSync("/proc")].map(({ name }) => Number(name));
  return pids.filter((pid) => {
    try {
      const [program, ...args] = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
      return program?.split("/").at(-1) === "deno" && args.includes(id);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  });
}

/** A port that was free a moment ago. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.transport === "tcp" ? listener.addr.port : 0;
}
