import assert from "node:assert/strict";
import * as fc from "fast-check";
import { systemClock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { JobEvents } from "@lib/spine/jobs/job_events.ts";
import { type AttemptDirectory, attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import { JobLogReader, type LogQuery } from "@lib/spine/logs/job_logs.ts";
import { JobMasks } from "@lib/spine/logs/job_masks.ts";
import { maskText } from "@lib/foundations/secrets/redactor.ts";
import { openSetupLog, SETUP_LINE_MAX_BYTES } from "@lib/spine/logs/setup_log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { makeJob, makeSpec } from "../support/job_fixtures.ts";
import { type LogFiles, logFiles, patternsOf, textOf } from "../support/log_files.ts";

const SECRET = "s3cr3t-t0ken";
const GIT = {
  url: "https://example.org/app.git",
  depth: 1,
  submodules: false,
  lfs: false,
  path: ".",
} as const;

function open(directory: AttemptDirectory, changes: { maxBytes?: number; clock?: FakeClock } = {}) {
  const failures: unknown[] = [];
  const log = openSetupLog(directory, {
    clock: systemClock,
    mask: (text) => maskText(patternsOf(SECRET), text),
    onFailure: (error) => failures.push(error),
    ...changes,
  });
  return Object.assign(log, { failures });
}

/** A job with a setup whose row is moved by hand, and the reader of its log. */
function jobLog(files: LogFiles, spec: JobSpec = makeSpec({ git: GIT, secretNames: ["TOKEN"] })) {
  let job = makeJob({ spec });
  const events = new JobEvents();
  const reader = new JobLogReader({
    stateDir: files.stateDir,
    read: () => job,
    events,
    watcher: files.watcher,
    masks: new JobMasks(() => new Map([["TOKEN", SECRET]])),
    clock: systemClock,
  });
  const signal = AbortSignal.timeout(30_000);
  const chunks = (query: Partial<LogQuery> = {}) =>
    reader.read(job, { from: 0, timestamps: false, follow: false, signal, ...query });
  return {
    id: job.id,
    chunks,
    change(changes: Partial<Job>): void {
      const before = job;
      job = { ...job, ...changes };
      events.publish(job, before);
    },
    begin(): AttemptDirectory {
      const number = job.attempt + 1;
      this.change({ attempt: number, state: "running" });
      const { project } = job.spec;
      const directory = attemptDirectory(files.stateDir, { project, jobId: job.id, number });
      Deno.mkdirSync(directory.path, { recursive: true });
      return directory;
    },
    read: (query: Partial<LogQuery> = {}) => textOf(chunks(query)),
    mask: () => reader.mask(job, signal),
    size: (stream?: "stdout" | "stderr") => reader.size(job, stream),
  };
}

function append(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { append: true, create: true });
}

Deno.test("SetupLog.say() writes one marked line for its owner only, controls escaped", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  using log = open(directory);
  assert.deepEqual([...Deno.readDirSync(directory.path)], []);
  log.say("Cloning\n\x1b[31mred\x7f\u0085\u202eend\ttab  \n");
  log.say("ünï 🐢");
  assert.equal(
    Deno.readTextFileSync(directory.setupLog),
    "[setup] Cloning\\n\\u001b[31mred\\u007f\\u0085\\u202eend\ttab\n[setup] ünï 🐢\n",
  );
  for (const path of [directory.setupLog, directory.setupIndex]) {
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
  }
  log.done();
  assert.equal(Deno.statSync(directory.setupDone).size, 0);
  assert.equal((Deno.statSync(directory.setupDone).mode ?? 0) & 0o777, 0o600);
});

Deno.test("JobLogReader.mask() masks the setup logs of an earlier release and split output on disk", async () => {
  await using files = await logFiles();
  const job = jobLog(files, makeSpec({ git: GIT, secretNames: ["TOKEN"], output: "split" }));
  const stars = "*".repeat(SECRET.length);
  const directories = [job.begin(), job.begin()];
  for (const directory of directories) {
    append(directory.setupLog, `[setup] cloning with ${SECRET}\n`);
    Deno.writeTextFileSync(directory.setupDone, "");
    append(directory.logFile("stdout"), `out ${SECRET}\n`);
    append(directory.logFile("stderr"), `err ${SECRET}`);
  }
  job.change({ state: "failed" });
  await job.mask();
  for (const directory of directories) {
    assert.equal(Deno.readTextFileSync(directory.setupLog), `[setup] cloning with ${stars}\n`);
    assert.equal(Deno.readTextFileSync(directory.logFile("stdout")), `out ${stars}\n`);
    assert.equal(Deno.readTextFileSync(directory.logFile("stderr")), `err ${stars}`);
  }
});

Deno.test("SetupLog.say() cuts a long line between characters and leaves no part of a secret", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  using log = open(directory);
  for (let pad = SETUP_LINE_MAX_BYTES - 40; pad < SETUP_LINE_MAX_BYTES; pad++) {
    log.say(`${"x".repeat(pad)}${SECRET}${"y".repeat(100)}`);
    log.say(`${"x".repeat(pad)}${"🐢".repeat(100_000)}`);
  }
  const lines = Deno.readTextFileSync(directory.setupLog).trimEnd().split("\n");
  assert.equal(lines.length, 80);
  for (const line of lines) {
    assert.ok(new TextEncoder().encode(`${line}\n`).length <= SETUP_LINE_MAX_BYTES);
    assert.match(line, /^\[setup\] x+(\**y*|🐢*) …$/u);
  }
});

Deno.test("SetupLog.say() ends at its limit with one note, also when opened again", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const maxBytes = 4_096;
  for (let life = 0; life < 3; life++) {
    using log = open(directory, { maxBytes });
    for (let at = 0; at < 200; at++) log.say(`line ${at} of a long setup`);
  }
  const text = Deno.readTextFileSync(directory.setupLog);
  assert.ok(text.length <= maxBytes);
  assert.ok(text.endsWith("\n[setup] further lines are left out: the limit of 4K is reached\n"));
  assert.equal(text.split("further lines").length, 2);
  assert.doesNotMatch(text, /anew/);
});

Deno.test("openSetupLog() goes on behind what a dead agent left, on a line of its own", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  {
    using log = open(directory);
    log.say("one");
  }
  append(directory.setupLog, "[setup] tor");
  using log = open(directory);
  log.say("one");
  log.done();
  assert.equal(
    Deno.readTextFileSync(directory.setupLog),
    "[setup] one\n[setup] tor\n[setup] the agent restarted: the setup starts again\n" +
      "[setup] one\n",
  );
});

Deno.test("openSetupLog() ends a log that has no room for a fresh start", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const note = "[setup] further lines are left out: the limit of 4K is reached\n";
  // Just not full: the line that tells of the restart is what does not fit.
  append(directory.setupLog, `${"x".repeat(4_096 - note.length - 2)}\n`);
  for (let life = 0; life < 2; life++) {
    using log = open(directory, { maxBytes: 4_096 });
    log.say("one");
    log.say("two");
    if (life === 1) log.done();
    assert.deepEqual(log.failures, []);
  }
  const text = Deno.readTextFileSync(directory.setupLog);
  assert.equal(text.slice(text.indexOf("\n") + 1), note);
});

Deno.test("openSetupLog() treats the beginning of its note as a torn line", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  append(directory.setupLog, "[setup] f");
  using log = open(directory);
  log.say("one");
  assert.match(
    Deno.readTextFileSync(directory.setupLog),
    /^\[setup\] f\n.* starts again\n.* one\n$/,
  );
});

Deno.test("openSetupLog() adds nothing to a log that is done", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  {
    using log = open(directory);
    log.say("one");
    log.done();
    log.say("two");
  }
  using log = open(directory);
  log.say("three");
  log.done();
  assert.equal(Deno.readTextFileSync(directory.setupLog), "[setup] one\n");
  assert.deepEqual(log.failures, []);
});

Deno.test("SetupLog.say() reports once what it cannot write; done() throws", async () => {
  await using files = await logFiles();
  using log = open(files.paths(1));
  log.say("one");
  log.say("two");
  assert.equal(log.failures.length, 1);
  assert.throws(() => log.done(), Deno.errors.NotFound);
});

Deno.test("JobLogReader.read() gives the setup, then the output, for any range of them", async () => {
  await using files = await logFiles();
  const line = fc.constantFrom("fetching", `with ${SECRET} in it`, "ünï", "");
  const output = fc.constantFrom("", "a\n", "no end", `key=${SECRET}\nünï\n`);
  const attempts = fc.array(fc.tuple(fc.array(line, { maxLength: 4 }), output), { maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(attempts, fc.nat(), fc.nat(), fc.boolean(), async (made, a, b, over) => {
      const log = jobLog(files);
      let whole = "";
      for (const [lines, text] of made) {
        const directory = log.begin();
        using setup = open(directory);
        for (const one of lines) setup.say(one);
        setup.done();
        if (text !== "") append(directory.logFile("merged"), text);
        whole += lines.map((one) => `[setup] ${one}\n`).join("");
        whole += text;
      }
      if (over) log.change({ state: "failed" });
      const bytes = new TextEncoder().encode(whole.replaceAll(SECRET, "*".repeat(SECRET.length)));
      assert.equal(await log.size(), bytes.length);
      const [from = 0, to = 0] = [a, b].map((at) => at % (bytes.length + 1)).sort((x, y) => x - y);
      assert.equal(await log.read({ from, to }), decoded(bytes.subarray(from, to)));
      assert.equal(await log.read({ from }), decoded(bytes.subarray(from)));
      if (over) assert.equal(await log.read({ from, follow: true }), decoded(bytes.subarray(from)));
    }),
    { numRuns: 60 },
  );
});

function decoded(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

Deno.test("JobLogReader.read() gives a follower each byte once, whenever it comes", async () => {
  await using files = await logFiles();
  const log = jobLog(files);
  const followers: { from: number; text: Promise<string> }[] = [];
  const seen: string[] = [];
  let directory = files.paths(1);
  let setup = open(directory);
  const steps: (() => void)[] = [
    () => (setup = open(directory = log.begin())),
    () => setup.say("cloning"),
    // The agent dies, and the next one begins again.
    () => setup[Symbol.dispose](),
    () => (setup = open(directory)).say(`cloning with ${SECRET}`),
    () => setup.done(),
    () => append(directory.logFile("merged"), `hello ${SECRET}\nwor`),
    () => append(directory.logFile("merged"), "ld"),
    () => log.change({ state: "queued" }),
    // Fails in its setup, before that is called done.
    () => (setup = open(directory = log.begin())),
    () => setup.say("no such branch"),
    () => log.change({ state: "queued" }),
    () => (setup = open(directory = log.begin())),
    () => setup.done(),
    () => append(directory.logFile("merged"), "third\n"),
    () => log.change({ state: "succeeded" }),
  ];
  for (const step of steps) {
    const from = await log.size();
    for (const at of new Set([0, from, Math.max(0, from - 3)])) {
      followers.push({ from: at, text: log.read({ from: at, follow: true }) });
    }
    step();
    seen.push(await log.read());
  }
  setup[Symbol.dispose]();
  const mask = "*".repeat(SECRET.length);
  const whole = `[setup] cloning\n[setup] the agent restarted: the setup starts again\n` +
    `[setup] cloning with ${mask}\nhello ${mask}\nworld[setup] no such branch\nthird\n`;
  assert.equal(await log.read(), whole);
  assert.equal(await log.size(), whole.length);
  for (const { from, text } of followers) assert.equal(await text, whole.slice(from));
  for (const text of seen) assert.ok(whole.startsWith(text), text);
});

Deno.test("JobLogReader.read() shows setup lines while they are written", async () => {
  await using files = await logFiles();
  const log = jobLog(files);
  const directory = log.begin();
  using setup = open(directory);
  setup.say("one");
  let text = "";
  for await (const chunk of log.chunks({ follow: true })) {
    text += decoded(chunk);
    if (text === "[setup] one\n") setup.say("two");
    else if (text.endsWith("two\n")) break;
  }
  assert.equal(text, "[setup] one\n[setup] two\n");
});

Deno.test("JobLogReader.read() goes on when the agent is killed amid a setup", async () => {
  await using files = await logFiles();
  const log = jobLog(files);
  const directory = log.begin();
  const script = import.meta.resolve("../support/setup_log_process.ts");
  const agent = (...mode: string[]) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", script, files.stateDir, log.id, ...mode],
    })
      .spawn();
  const first = agent();
  let text = "";
  let second: Deno.ChildProcess | undefined;
  for await (const chunk of log.chunks({ follow: true })) {
    text += decoded(chunk);
    if (second !== undefined || !text.includes("line 1000\n")) continue;
    first.kill("SIGKILL");
    await first.status;
    second = agent("--done");
    void second.status.then(() => {
      append(directory.logFile("merged"), "out\n");
      log.change({ state: "succeeded" });
    });
  }
  assert.equal(text, await log.read());
  assert.equal(text, Deno.readTextFileSync(directory.setupLog) + "out\n");
  assert.match(
    text,
    /^(\[setup\] line \d+\n)+\[setup\] the agent .* starts again\n(\[setup\] line [012]\n){3}out\n$/,
  );
});

Deno.test("JobLogReader.read() looks at no output while the setup goes on", async () => {
  await using files = await logFiles();
  const log = jobLog(files);
  const directory = log.begin();
  using setup = open(directory);
  setup.say("one");
  append(directory.logFile("merged"), "from nowhere\n");
  assert.equal(await log.read(), "[setup] one\n");
  assert.equal(await log.size(), 12);
  setup.done();
  assert.equal(await log.read(), "[setup] one\nfrom nowhere\n");
});

Deno.test("JobLogReader.read() leaves the setup out of one stream, and needs a split log", async () => {
  await using files = await logFiles();
  for (const output of ["split", "merged"] as const) {
    const log = jobLog(files, makeSpec({ git: GIT, output }));
    const directory = log.begin();
    using setup = open(directory);
    setup.say("one");
    setup.done();
    append(directory.logFile(output === "split" ? "stdout" : "merged"), "out\n");
    if (output === "split") append(directory.logFile("stderr"), "err\n");
    log.change({ state: "succeeded" });
    if (output === "merged") {
      await assert.rejects(
        log.read({ stream: "stdout" }),
        (error) => error instanceof CicdError && error.code === "invalid_request",
      );
      continue;
    }
    assert.equal(await log.read({ stream: "stdout" }), "out\n");
    assert.equal(await log.read({ stream: "stderr", follow: true }), "err\n");
    assert.equal(await log.read(), "[setup] one\nout\nerr\n");
    assert.equal(await log.size("stdout"), 4);
    assert.equal(await log.size(), 20);
  }
});

Deno.test("JobLogReader.read() knows when each line of the setup was written", async () => {
  await using files = await logFiles();
  const log = jobLog(files);
  const directory = log.begin();
  const clock = new FakeClock(Date.UTC(2026, 0, 2));
  using setup = open(directory, { clock });
  setup.say("one");
  await clock.tick(1_500);
  setup.say("two");
  assert.equal(
    await log.read({ timestamps: true }),
    "2026-01-02T00:00:00.000Z [setup] one\n2026-01-02T00:00:01.500Z [setup] two\n",
  );
});

Deno.test("JobLogReader.read() does not read the setup of a job that has none", async () => {
  await using files = await logFiles();
  for (const spec of [makeSpec(), makeSpec({ files: [], caches: [] })]) {
    const log = jobLog(files, spec);
    const directory = log.begin();
    append(directory.setupLog, "stray\n");
    append(directory.logFile("merged"), "out\n");
    assert.equal(await log.read(), "out\n");
  }
});

Deno.test("a setup log that a job made a terabyte long is read and masked to its limit", async () => {
  await using files = await logFiles();
  const job = jobLog(files);
  const directory = job.begin();
  {
    using log = open(directory);
    log.say("Cloning");
    log.done();
  }
  append(directory.setupLog, `${SECRET}\n`);
  Deno.truncateSync(directory.setupLog, 1e12);
  append(directory.logFile("merged"), "output\n");
  job.change({ state: "succeeded" });
  const before = await job.read();
  assert.ok(await job.size() < 5 * 1024 * 1024);
  assert.ok(before.startsWith(`[setup] Cloning\n${"*".repeat(SECRET.length)}\n`));
  await job.mask();
  assert.ok(await job.read() === before);
  const { size, blocks } = Deno.statSync(directory.setupLog);
  assert.equal(size, 1e12);
  assert.ok((blocks ?? 0) * 512 < 16 * 1024 * 1024, `it takes ${blocks} blocks`);
});

Deno.test("a log whose record of its cap is a terabyte long is read and masked", async () => {
  await using files = await logFiles();
  const job = jobLog(files, makeSpec({ secretNames: ["TOKEN"] }));
  const directory = job.begin();
  append(directory.logFile("merged"), `${SECRET}\n`);
  append(directory.logCapped, "");
  Deno.truncateSync(directory.logCapped, 1e12);
  job.change({ state: "succeeded" });
  await job.mask();
  assert.equal(Deno.readTextFileSync(directory.logFile("merged")), "************\n");
  assert.match(
    await job.read(),
    /^\*{12}\n\[cicd-toolkit\] log limit .* reached: further bytes dropped\n$/,
  );
});
