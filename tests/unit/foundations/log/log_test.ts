import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import type { LineWriter } from "@lib/foundations/log/line_writer.ts";
import { type LogOptions, openLog } from "@lib/foundations/log/log.ts";
import { MESSAGE_IDS } from "@lib/foundations/log/message_ids.ts";

function setup(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const stderr: LineWriter = {
    write: (line) => void lines.push(line),
    flush: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const log = openLog({ program: "cicd-test", level: "info", format: "json", stderr, ...options });
  const parsed = (): Record<string, unknown>[] => lines.map((line) => JSON.parse(line));
  return { log, lines, parsed, [Symbol.asyncDispose]: () => log[Symbol.asyncDispose]() };
}

Deno.test("openLog() writes messages with their fields and those of the child", async () => {
  await using t = setup();
  t.log.child({ jobId: "j1" }).info("Job {ended}", { exitCode: 3, ok: false, none: undefined });
  const [{ time, ...rest } = {}] = t.parsed();
  assert.match(String(time), /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.deepEqual(rest, {
    level: "info",
    program: "cicd-test",
    message: "Job {ended}",
    job_id: "j1",
    exit_code: 3,
    ok: false,
  });
});

Deno.test("openLog() writes nothing below its level, and never looks at its fields", async () => {
  await using t = setup({ level: "warning" });
  t.log.info("no", {
    get trap(): string {
      throw new Error("looked");
    },
  });
  t.log.warning("yes");
  t.log.setLevel("debug");
  t.log.debug("now");
  assert.deepEqual(t.parsed().map(({ message }) => message), ["yes", "now"]);
});

Deno.test("openLog() takes secrets out of messages, values, objects and errors", async () => {
  await using t = setup({ redact: (text) => text.replaceAll('a"b', "***") });
  t.log.error('of a"b', {
    text: 'a"b',
    object: { deep: ['a"b'] },
    error: new Error('a"b', { cause: new Error('a"b') }),
  });
  assert.doesNotMatch(t.lines.join(), /a\\*"b/);
  assert.match(t.lines.join(), /\*\*\*/);
});

Deno.test("openLog() rather writes no text than one that cannot be redacted", async () => {
  await using t = setup({
    redact: () => {
      throw new Error("broken");
    },
  });
  t.log.info("secret");
  assert.equal(t.parsed()[0]?.["message"], "(cannot be redacted)");
});

Deno.test("openLog() writes an error with its code and causes, a defect with its stack", async () => {
  await using t = setup();
  const cause = new TypeError("no bytes");
  t.log.error("a", { error: new CicdError("disk_full", "Cannot write row", { cause }) });
  t.log.error("b", { error: new Error("defect") });
  const [expected, defect] = t.parsed();
  assert.equal(expected?.["error"], "Cannot write row; caused by TypeError: no bytes");
  assert.equal(expected?.["error_code"], "disk_full");
  assert.equal(expected?.["stack"], undefined);
  assert.match(String(defect?.["stack"]), /^Error: defect\n +at /);
});

Deno.test("openLog() never throws, for any input", async () => {
  await using t = setup();
  const cycle: Record<string, unknown> = {};
  cycle["self"] = cycle;
  t.log.info("v", {
    get trap(): string {
      throw new Error("trap");
    },
  });
  t.log.info("x", {
    cycle,
    big: 10n,
    date: new Date(NaN),
    symbol: Symbol("s"),
    hostile: {
      toJSON() {
        throw new Error("hostile");
      },
    },
    error: { not: "an error" },
  });
  const stop = new Error("loop");
  stop.cause = stop;
  t.log.error("y", { error: stop });
  t.log.info("z", { huge: "h".repeat(100_000) });
  assert.deepEqual(t.parsed().map(({ message }) => message), ["v", "x", "y", "z"]);
  assert.ok(t.lines.every((line) => line.length < 20_000));
});

Deno.test("openLog() sends native fields to the journal", async () => {
  const sent: ReadonlyMap<string, string>[] = [];
  await using t = setup({ format: "journal", journal: (fields) => void sent.push(fields) });
  t.log.info("Job ended", {
    messageId: MESSAGE_IDS.jobEnded,
    jobId: "j1",
    message: "m",
    codeFile: "x",
    "9lives": 1,
  });
  assert.deepEqual(Object.fromEntries(sent[0] ?? []), {
    JOB_ID: "j1",
    CICD_MESSAGE: "m",
    CICD_CODE_FILE: "x",
    CICD_9LIVES: "1",
    MESSAGE: "Job ended job_id=j1 message=m code_file=x 9lives=1",
    PRIORITY: "6",
    SYSLOG_IDENTIFIER: "cicd-test",
    MESSAGE_ID: MESSAGE_IDS.jobEnded,
  });
  assert.deepEqual(t.lines, []);
});

Deno.test("openLog() names the journal's entries as told, whatever the program's name", async () => {
  const sent: ReadonlyMap<string, string>[] = [];
  const journal = (fields: ReadonlyMap<string, string>) => void sent.push(fields);
  await using t = setup({ format: "journal", journal, identifier: "cicd-agent-web" });
  t.log.info("x");
  assert.equal(sent[0]?.get("SYSLOG_IDENTIFIER"), "cicd-agent-web");
});

Deno.test("openLog() says in the journal where a warning was written", async () => {
  const sent: ReadonlyMap<string, string>[] = [];
  await using t = setup({ format: "journal", journal: (fields) => void sent.push(fields) });
  function placeOfCall(): void {
    t.log.warning("here");
  }
  placeOfCall();
  assert.match(sent[0]?.get("CODE_FILE") ?? "", /log_test\.ts$/);
  assert.match(sent[0]?.get("CODE_LINE") ?? "", /^\d+$/);
  assert.equal(sent[0]?.get("CODE_FUNC"), "placeOfCall");
});

Deno.test("openLog() falls back to prefixed lines when the journal is away", async () => {
  await using t = setup({
    format: "journal",
    journal: () => {
      throw new Error("ENOENT");
    },
  });
  t.log.error("down", { project: "web" });
  assert.deepEqual(t.lines, ["<3>down project=web"]);
});

Deno.test("openLog() writes nothing once disposed, and can be reopened", async () => {
  const first = setup();
  await first.log[Symbol.asyncDispose]();
  await first.log[Symbol.asyncDispose]();
  first.log.error("late");
  await using second = setup();
  second.log.info("new");
  assert.deepEqual([first.lines.length, second.lines.length], [0, 1]);
});

Deno.test("MESSAGE_IDS are 128 bits each, and each is one of a kind", () => {
  const ids = Object.values(MESSAGE_IDS);
  assert.ok(ids.every((id) => /^[0-9a-f]{32}$/.test(id)));
  assert.equal(new Set(ids).size, ids.length);
});
