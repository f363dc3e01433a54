import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { OwnedTerminal, TerminalEnding, TerminalOptions } from "@lib/api/terminal_opener.ts";
import { Refusals } from "@lib/features/console/refusals.ts";
import { ConsoleTerminals } from "@lib/features/console/console_terminals.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { projectName } from "../../../support/job_fixtures.ts";
import { silentLogger } from "../../../support/silent_logger.ts";

type Fields = Readonly<Record<string, unknown>>;

const never = new AbortController().signal;
const ENCODER = new TextEncoder();
const KILLED: TerminalEnding = { exitCode: undefined, text: "killed", hasExited: false };

/** A terminal in memory. */
class FakeTerminal implements OwnedTerminal {
  readonly options: TerminalOptions;
  readonly written: Uint8Array[] = [];
  readonly sizes: string[] = [];
  readonly killedBy: string[] = [];
  isLeft = false;
  /** Pending while the program reads nothing. */
  taken: Promise<void> = Promise.resolve();
  /** It does not end when it is killed. */
  isStubborn = false;
  readonly #ended = Promise.withResolvers<TerminalEnding>();

  constructor(options: TerminalOptions) {
    this.options = options;
  }

  get ended(): Promise<TerminalEnding> {
    return this.#ended.promise;
  }

  get typed(): string {
    return this.written.map((bytes) => new TextDecoder().decode(bytes)).join("");
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.taken;
    this.written.push(bytes);
  }

  async resize({ columns, rows }: { readonly columns: number; readonly rows: number }) {
    await this.taken;
    this.sizes.push(`${columns}x${rows}`);
  }

  kill(by: string): Promise<void> {
    this.killedBy.push(by);
    if (!this.isStubborn) this.end(KILLED);
    return Promise.resolve();
  }

  show(bytes: Uint8Array): void | Promise<void> {
    return this.options.onOutput(bytes);
  }

  end(ending: TerminalEnding = { exitCode: 0, text: "exited with 0", hasExited: true }): void {
    this.#ended.resolve(ending);
  }

  [Symbol.dispose](): void {
    this.isLeft = true;
    this.end({ exitCode: undefined, text: "was left", hasExited: false });
  }
}

const NEVER = Promise.withResolvers<never>().promise;

function rejection(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return promise;
}

function setup({ refusal, opens = Promise.resolve(), isAllowed = true, isDeaf = false }: {
  readonly refusal?: CicdError;
  readonly opens?: Promise<void>;
  readonly isAllowed?: boolean;
  /** It opens though it was told not to. */
  readonly isDeaf?: boolean;
} = {}) {
  const clock = new FakeClock();
  const failures: unknown[] = [];
  const tasks = new TaskGroup({ onFailure: (_, error) => failures.push(error) });
  const refusals = new Refusals(silentLogger);
  const opened: FakeTerminal[] = [];
  const sent: { readonly type: string; readonly payload: Fields }[] = [];
  const link = { bufferedBytes: 0, drain: Promise.withResolvers<void>() };
  const terminals = new ConsoleTerminals({
    rules: () => ({
      terminals: isAllowed,
      scripts: false,
      commands: [],
      projects: [projectName()],
    }),
    opener: () =>
      Promise.resolve(async (options, signal) => {
        await Promise.race([opens, isDeaf ? NEVER : rejection(signal)]);
        if (refusal !== undefined) throw refusal;
        const terminal = new FakeTerminal(options);
        opened.push(terminal);
        return terminal;
      }),
    shell: "/bin/zsh",
    refusals,
    tasks,
    clock,
  });
  const channel = {
    send: (type: string, payload: Fields) => void sent.push({ type, payload }),
    get bufferedBytes() {
      return link.bufferedBytes;
    },
    drained: () => link.drain.promise,
  };
  const say = async (type: string, session: string, fields: Fields = {}) => {
    const payload = { session_id: session, ...fields };
    await terminals.handle({ type: `terminal:${type}`, payload }, channel);
    await clock.tick(0);
  };
  return {
    clock,
    terminals,
    refusals,
    opened,
    link,
    failures,
    say,
    channel,
    input: (session: string, text: string) => ({
      type: "terminal:input",
      payload: { session_id: session, data: ENCODER.encode(text).toBase64() },
    }),
    type: (session: string, text: string) =>
      say("input", session, { data: ENCODER.encode(text).toBase64() }),
    of: (type: string) => sent.filter((one) => one.type === `terminal:${type}`),
    /** The text as the console decodes it, message by message. */
    get shown() {
      return this.of("output").map(({ payload }) =>
        new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
          Uint8Array.fromBase64(String(payload["data"])),
        )
      ).join("");
    },
    async open(session = "s"): Promise<FakeTerminal> {
      await say("create", session, { cols: 90, rows: 30 });
      const terminal = opened.at(-1);
      assert.ok(terminal !== undefined);
      return terminal;
    },
    async [Symbol.asyncDispose]() {
      for (const terminal of opened) terminal.end();
      await tasks[Symbol.asyncDispose]();
    },
  };
}

Deno.test("ConsoleTerminals opens a terminal, and tells its end once", async () => {
  await using t = setup();
  const terminal = await t.open();
  const { project, command, columns, rows, by } = terminal.options;
  assert.deepEqual([project, command, columns, rows, by], [
    "web",
    ["/bin/zsh"],
    90,
    30,
    "by the console",
  ]);
  assert.equal(t.terminals.needsConnection, true);
  terminal.end({ exitCode: 7, text: "exited with 7", hasExited: true });
  await t.clock.tick(0);
  assert.deepEqual(t.of("closed").map(({ payload }) => payload), [{
    session_id: "s",
    exit_code: 7,
  }]);
  assert.equal(terminal.isLeft, true);
  assert.equal(t.terminals.needsConnection, false);
});

Deno.test("ConsoleTerminals never cuts a character, wherever the output is cut", async () => {
  await using t = setup();
  const terminal = await t.open();
  const text = `\ufeff漢é👩‍💻${"ä€😀".repeat(20_000)}`;
  const bytes = ENCODER.encode(text);
  for (let at = 0; at < 40; at++) await terminal.show(bytes.subarray(at, at + 1));
  await terminal.show(bytes.subarray(40));
  assert.ok(t.shown === text);
  await terminal.show(Uint8Array.of(0xe2, 0x82));
  terminal.end();
  await t.clock.tick(0);
  assert.ok(t.shown === `${text}\ufffd`);
  const longest = Math.max(...t.of("output").map(({ payload }) => String(payload["data"]).length));
  assert.ok(longest <= 64 * 1024, `${longest}`);
});

Deno.test("ConsoleTerminals holds the program while the console takes nothing", async () => {
  await using t = setup();
  const terminal = await t.open();
  t.link.bufferedBytes = 1024 * 1024;
  let isTaken = false;
  const shown = Promise.resolve(terminal.show(new Uint8Array(100_000))).then(() => isTaken = true);
  await t.clock.tick(0);
  assert.equal(isTaken, false);
  assert.equal(t.of("output").length, 1);
  t.link.bufferedBytes = 0;
  t.link.drain.resolve();
  await shown;
  assert.equal(t.shown.length, 100_000);
});

Deno.test("ConsoleTerminals keeps input for a terminal that opens, in order and in pieces", async () => {
  const opens = Promise.withResolvers<void>();
  await using t = setup({ opens: opens.promise });
  await t.say("create", "s");
  await t.type("s", "first ");
  await t.say("resize", "s", { cols: 100, rows: 40 });
  await t.type("s", "x".repeat(200_000));
  opens.resolve();
  await t.clock.tick(0);
  assert.equal(t.opened[0]?.typed, `first ${"x".repeat(200_000)}`);
  assert.deepEqual(t.opened[0]?.sizes, ["100x40"]);
  assert.ok(t.opened[0]?.written.every(({ length }) => length <= 64 * 1024));
});

Deno.test("ConsoleTerminals bounds input that is not read, says so once, and takes more later", async () => {
  await using t = setup();
  const terminal = await t.open();
  const reads = Promise.withResolvers<void>();
  terminal.taken = reads.promise;
  for (let count = 0; count < 10; count++) await t.type("s", "y".repeat(1024 * 1024));
  assert.equal(t.shown.match(/the rest is dropped/g)?.length, 1);
  reads.resolve();
  await t.clock.tick(0);
  assert.equal(terminal.typed.length, 2 * 1024 * 1024);
  await t.type("s", "again");
  assert.ok(terminal.typed.endsWith("again"));
});

Deno.test("ConsoleTerminals bounds input in small pieces, and keeps none for empty ones", async () => {
  await using t = setup();
  const terminal = await t.open();
  const reads = Promise.withResolvers<void>();
  terminal.taken = reads.promise;
  for (let count = 0; count < 5_000; count++) await t.terminals.handle(t.input("s", ""), t.channel);
  assert.doesNotMatch(t.shown, /dropped/);
  for (let count = 0; count < 5_000; count++) {
    await t.terminals.handle(t.input("s", "y"), t.channel);
  }
  assert.equal(t.shown.match(/the rest is dropped/g)?.length, 1);
  reads.resolve();
  await t.clock.tick(0);
  assert.equal(terminal.typed, "y".repeat(4_096));
});

Deno.test("ConsoleTerminals merges sizes; the last one counts", async () => {
  await using t = setup();
  const terminal = await t.open();
  const takes = Promise.withResolvers<void>();
  terminal.taken = takes.promise;
  for (let count = 1; count <= 100; count++) await t.say("resize", "s", { cols: count, rows: 9 });
  takes.resolve();
  await t.clock.tick(0);
  assert.deepEqual(terminal.sizes, ["1x9", "100x9"]);
});

Deno.test("ConsoleTerminals ends a terminal that the console closes, also one that is opening", async () => {
  const opens = Promise.withResolvers<void>();
  await using t = setup({ opens: opens.promise, isDeaf: true });
  await t.say("create", "s");
  await t.say("close", "s");
  opens.resolve();
  await t.clock.tick(0);
  assert.deepEqual(t.opened[0]?.killedBy, ["by the console"]);
  assert.deepEqual(t.of("closed").map(({ payload }) => payload), [
    { session_id: "s", exit_code: -1, reason: "killed" },
  ]);
  const other = await t.open("other");
  await t.say("close", "other");
  await t.say("close", "other");
  assert.deepEqual(other.killedBy, ["by the console"]);
  assert.equal(t.of("closed").length, 2);
});

Deno.test("ConsoleTerminals does not wait for a terminal that opens when it is closed", async () => {
  await using t = setup({ opens: NEVER });
  await t.say("create", "s");
  await t.say("create", "other");
  await t.say("close", "s");
  await t.terminals.close("the console link has ended", never);
  assert.deepEqual(t.of("closed").map(({ payload }) => payload["session_id"]), ["s", "other"]);
  assert.equal(t.shown, "");
});

Deno.test("ConsoleTerminals leaves a terminal that cannot be ended, which ends by itself then", async () => {
  await using t = setup();
  const terminal = await t.open();
  terminal.isStubborn = true;
  await t.say("close", "s");
  await t.clock.tick(4_000);
  assert.equal(terminal.isLeft, true);
  assert.equal(t.of("closed").length, 1);
});

Deno.test("ConsoleTerminals ends all with their link, though one is held", async () => {
  await using t = setup();
  const held = await t.open("held");
  const other = await t.open("other");
  t.link.bufferedBytes = 1024 * 1024;
  const shown = held.show(new Uint8Array(100_000));
  t.link.drain.reject(new DOMException("The console link has ended", "AbortError"));
  await t.terminals.close("the console link has ended", never);
  await shown;
  assert.deepEqual([held, other].map(({ killedBy }) => killedBy.length), [1, 1]);
  // Those of the next link are others.
  await t.open("held");
  assert.equal(t.opened.length, 3);
});

Deno.test("ConsoleTerminals says on the screen why there is no terminal", async () => {
  await using denied = setup({ isAllowed: false });
  await denied.say("create", "s");
  assert.match(denied.shown, /Terminals are not allowed.*\r\n$/);
  assert.equal(denied.of("closed")[0]?.payload["exit_code"], 126);
  assert.equal(denied.refusals.count, 1);
  const refusal = new CicdError("agent_unavailable", "The agent is\nnot there");
  await using failed = setup({ refusal });
  await failed.say("create", "s");
  assert.match(failed.shown, /\[cicd-runner: The agent is not there\]\r\n$/);
  assert.equal(failed.of("closed")[0]?.payload["exit_code"], -1);
  assert.deepEqual(failed.failures, []);
});

Deno.test("ConsoleTerminals opens 64 at most, each id once, and ignores unknown ids", async () => {
  await using t = setup();
  for (let count = 0; count < 65; count++) await t.say("create", `s${count}`);
  await t.say("create", "s0");
  assert.equal(t.opened.length, 64);
  assert.equal(t.of("closed").length, 1);
  for (const type of ["input", "resize", "close"]) await t.say(type, "none", { data: "" });
  await t.say("input", "s0", { data: "*" });
  await t.say("create", "bad", { cols: {} });
  assert.match(t.refusals.last ?? "", /cols is invalid/);
  assert.equal(t.of("closed").length, 2);
});
