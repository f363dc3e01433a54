import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import { encodeIndexHeader, encodeIndexRecords } from "@lib/spine/logs/log_index.ts";
import { openLogIndex } from "@lib/spine/logs/log_index_file.ts";
import { readLog, type ReadLogOptions } from "@lib/spine/logs/log_reader.ts";
import { recordLog, type RecordLogOptions } from "@lib/spine/logs/log_recorder.ts";
import { jobLogSize, setupSource } from "@lib/spine/logs/log_source.ts";
import { LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import { FakeClock } from "../support/fake_clock.ts";
import {
  followPort,
  logFiles,
  masked,
  patternsOf,
  sourceOf,
  textOf,
} from "../support/log_files.ts";

const NO_SECRETS = patternsOf();
const signal = new AbortController().signal;

type ReadOptions =
  & Partial<Omit<ReadLogOptions, "patterns">>
  & Pick<ReadLogOptions, "sources">
  & { readonly patterns?: typeof NO_SECRETS };

function read(options: ReadOptions) {
  const { patterns = NO_SECRETS, ...others } = options;
  return readLog({
    from: 0,
    signal,
    ...others,
    patterns: () => Promise.resolve(patterns),
  });
}

function record(options: Pick<RecordLogOptions, "directory"> & Partial<RecordLogOptions>) {
  return recordLog({
    output: "merged",
    maxBytes: 1 << 30,
    clock: systemClock,
    watcher: new LogWatcher({ clock: systemClock }),
    onFailure: (error) => {
      throw error;
    },
    signal,
    ...options,
  });
}

/** Lines with a secret in every fifth of them. */
function linesOf(count: number, secret: string): string {
  return Array.from({ length: count }, (_, at) => `line ${at} ${at % 5 === 0 ? secret : "-"}\n`)
    .join("");
}

/** Appends a text in odd pieces from a process of its own. */
async function append(path: string, text: string): Promise<void> {
  const code = `
    const bytes = new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer());
    const file = await Deno.open(${JSON.stringify(path)}, { append: true, create: true });
    for (let at = 0, step = 1; at < bytes.length; at += step, step = step * 7 % 9973 + 1) {
      await file.write(bytes.subarray(at, at + step));
    }`;
  const child = new Deno.Command(Deno.execPath(), { args: ["eval", code], stdin: "piped" }).spawn();
  const stdin = child.stdin.getWriter();
  await stdin.write(new TextEncoder().encode(text));
  await stdin.close();
  assert.ok((await child.status).success);
}

function appendNow(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { append: true, create: true });
}

/** Waits until the index of a directory has records up to `bytes` of log. */
async function indexedTo(directory: { logIndex: string; path: string }, bytes: number) {
  for await (const _ of pulse(directory.path)) {
    using index = openLogIndex(directory.logIndex);
    if ((index?.at(index.validCount() - 1)?.viewEnd ?? 0) >= bytes) return;
  }
}

/** Comes round at once, and after every change of the directory. */
async function* pulse(path: string): AsyncGenerator<void> {
  using watcher = Deno.watchFs(path);
  yield;
  for await (const _event of watcher) yield;
}

Deno.test("readLog() gives every follower the same bytes, whatever its pace or start", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const follow = followPort(files.watcher);
  const patterns = patternsOf("hunter2-and-more");
  const text = linesOf(20_000, "hunter2-and-more");
  const expected = masked(text, patterns);
  const sources = [sourceOf(directory, { settled: false })];
  const pause = () => new Promise((resolve) => setTimeout(resolve, 0));
  const readings = [
    textOf(read({ sources, follow, patterns })),
    textOf(read({ sources, follow, patterns }), pause),
    textOf(read({ sources, follow, patterns, from: 7 })),
    textOf(read({ sources, follow, patterns, from: 100_001 })),
    textOf(read({ sources, follow, patterns, to: 50_000 })),
  ];
  await append(directory.logFile("merged"), text);
  follow.settle();
  const [fast, slow, early, late, bounded] = await Promise.all(readings);
  assert.equal(fast, expected);
  assert.equal(slow, expected);
  assert.equal(early, expected.slice(7));
  assert.equal(late, expected.slice(100_001));
  assert.equal(bounded, expected.slice(0, 50_000));
  assert.equal(files.watcher.size, 0);
});

Deno.test("readLog() resumes at any offset with the rest of the log", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const patterns = patternsOf("abcabd", "cab", "line 1");
  const text = linesOf(60, "abcabcabdab");
  appendNow(directory.logFile("merged"), text);
  const whole = masked(text, patterns);
  const sources = [sourceOf(directory)];
  for (let from = 0; from <= whole.length; from += 3) {
    const to = Math.min(whole.length, from + 100);
    const reading = read({ sources, patterns, from, to });
    assert.equal(await textOf(reading), whole.slice(from, to));
    assert.equal(reading.offset, to);
  }
});

Deno.test("readLog() follows a log whose directory does not exist yet", async () => {
  await using files = await logFiles();
  const follow = followPort(files.watcher);
  const reading = read({ sources: [sourceOf(files.paths(1), { settled: false })], follow });
  const chunks = reading[Symbol.asyncIterator]();
  const first = chunks.next();
  const directory = await files.attempt(1);
  appendNow(directory.logFile("merged"), "hello\n");
  assert.equal(new TextDecoder().decode((await first).value), "hello\n");
  follow.settle();
  assert.equal((await chunks.next()).done, true);
});

Deno.test("readLog() of a job that is over ends at once, log or no log", async () => {
  await using files = await logFiles();
  const follow = followPort(files.watcher);
  assert.equal(await textOf(read({ sources: [sourceOf(files.paths(1))], follow })), "");
  assert.equal(await textOf(read({ sources: [] })), "");
});

Deno.test("readLog() rejects with the signal's reason while it waits", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const stop = new AbortController();
  const follow = followPort(files.watcher);
  const sources = [sourceOf(directory, { settled: false })];
  const chunks = read({ sources, follow, signal: stop.signal })[Symbol.asyncIterator]();
  const waiting = chunks.next();
  const reason = new Error("the client went away");
  stop.abort(reason);
  await assert.rejects(waiting, reason);
  assert.equal(files.watcher.size, 0);
});

Deno.test("readLog() masks the beginning of a secret at the end of a living log", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const patterns = patternsOf("hunter2");
  appendNow(directory.logFile("merged"), "pass hunte");
  const living = sourceOf(directory, { settled: false });
  assert.equal(await textOf(read({ sources: [living], patterns })), "pass *****");
  assert.equal(await textOf(read({ sources: [sourceOf(directory)], patterns })), "pass hunte");
});

Deno.test("readLog() strings a job's attempts together, and goes on to the next", async () => {
  await using files = await logFiles();
  const first = await files.attempt(1);
  const second = await files.attempt(2);
  appendNow(first.logFile("merged"), "one\n");
  appendNow(second.logFile("merged"), "two\n");
  const sources = [sourceOf(first), sourceOf(second)];
  assert.equal(await jobLogSize(sources), 8);
  for (let from = 0; from <= 8; from++) {
    assert.equal(await textOf(read({ sources, from })), "one\ntwo\n".slice(from));
  }
  const follow = {
    ...followPort(files.watcher),
    nextSource: (count: number) => Promise.resolve(sources[count]),
  };
  assert.equal(await textOf(read({ sources: [], follow })), "one\ntwo\n");
  assert.equal(await textOf(read({ sources: sources.slice(0, 1), from: 5, follow })), "wo\n");
});

Deno.test("recordLog() keeps a log to its cap, and readers learn of it", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const maxBytes = 10_240;
  const follow = followPort(files.watcher);
  const recording = record({ directory, maxBytes });
  const living = sourceOf(directory, { maxBytes, settled: false });
  const reading = read({ sources: [living], follow });
  const following = textOf(reading);
  const text = linesOf(20_000, "x");
  await append(directory.logFile("merged"), text);
  assert.equal((await recording.finish()).logBytes, maxBytes);
  follow.settle();
  assert.equal((await Deno.stat(directory.logFile("merged"))).size, maxBytes);
  const followed = await following;
  const note = /\n\[cicd-toolkit\] log limit 10K reached: at least \d+ bytes dropped\n$/;
  assert.match(followed, note);
  assert.equal(followed.replace(note, ""), text.slice(0, maxBytes));
  assert.equal(reading.offset, maxBytes);
  const source = sourceOf(directory, { maxBytes });
  assert.equal(await jobLogSize([source]), maxBytes);
  assert.equal(await textOf(read({ sources: [source] })), followed);
  const ranged = await textOf(read({ sources: [source], from: 5, to: maxBytes }));
  assert.equal(ranged, text.slice(5, maxBytes));
});

Deno.test("readLog() says after each attempt, at the end or never that its log was cut", async () => {
  await using files = await logFiles();
  const first = await files.attempt(1);
  const second = await files.attempt(2);
  const sources = [
    setupSource(first, true),
    sourceOf(first, { maxBytes: 4_096 }),
    sourceOf(second, { maxBytes: 4_096 }),
  ];
  appendNow(first.setupLog, "[setup] ready\n");
  for (const directory of [first, second]) {
    appendNow(directory.logFile("merged"), "x".repeat(4_100));
    assert.deepEqual(await record({ directory, maxBytes: 4_096 }).finish(), {
      logBytes: 4_096,
      logDroppedBytes: 4,
    });
  }
  const log = "x".repeat(4_096);
  const note = "[cicd-toolkit] log limit 4K reached: at least 4 bytes dropped\n";
  const setup = "[setup] ready\n";
  const each = `${setup}${log}\n${note}${log}\n${note}`;
  assert.equal(await textOf(read({ sources })), each);
  for (
    const [notes, text] of [
      ["each", each],
      ["end", `${setup}${log}${log}\n${note}${note}`],
      ["none", `${setup}${log}${log}`],
    ] as const
  ) {
    const reading = read({ sources, notes });
    assert.equal(await textOf(reading), text);
    assert.equal(reading.offset, await jobLogSize(sources));
  }
  const from = setup.length + 4_096 - 5;
  assert.equal(await textOf(read({ sources, from })), `xxxxx\n${note}${log}\n${note}`);
  const stamped = await textOf(read({ sources, timestamps: new FakeClock(0) }));
  assert.match(stamped, /x\n\S+Z \[cicd-toolkit\] .*\n\S+Z x+\n\S+Z \[cicd-toolkit\] .*\n$/);
});

Deno.test("recordLog() counts what is dropped across a restart", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  for (const _round of [1, 2]) {
    appendNow(directory.logFile("merged"), "x".repeat(150));
    assert.equal((await record({ directory, maxBytes: 100 }).finish()).logBytes, 100);
  }
  assert.equal(await Deno.readTextFile(directory.logCapped), "200\n");
});

Deno.test("recordLog() makes no log file", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  assert.equal((await record({ directory, output: "split" }).finish()).logBytes, 0);
  assert.deepEqual([...Deno.readDirSync(directory.path)], []);
});

Deno.test("recordLog() gives a split log one order that outlives the recorder's death", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const living = sourceOf(directory, { output: "split", settled: false });
  const script = import.meta.resolve("../support/record_log_process.ts");
  const first = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, files.stateDir],
    stdin: "piped",
  }).spawn();
  let bytes = 0;
  for (let at = 0; at < 5; at++) {
    appendNow(directory.logFile("stdout"), `out ${at}\n`);
    await indexedTo(directory, bytes += 6);
    appendNow(directory.logFile("stderr"), `err ${at}\n`);
    await indexedTo(directory, bytes += 6);
  }
  first.kill("SIGKILL");
  await first.stdin.close().catch(ignore("the reader is dead"));
  await first.status;
  const before = await textOf(read({ sources: [living] }));
  assert.equal(before, [0, 1, 2, 3, 4].map((at) => `out ${at}\nerr ${at}\n`).join(""));

  appendNow(directory.logIndex, "torn record");
  appendNow(directory.logFile("stdout"), "out late\n");
  appendNow(directory.logFile("stderr"), "err late\n");
  assert.equal(await textOf(read({ sources: [living] })), before);
  const all = `${before}out late\nerr late\n`;
  const settled = sourceOf(directory, { output: "split" });
  assert.equal(await textOf(read({ sources: [settled] })), all);

  assert.equal((await record({ directory, output: "split" }).finish()).logBytes, all.length);
  assert.equal(await textOf(read({ sources: [living] })), all);
  for (let from = 0; from <= all.length; from++) {
    assert.equal(await textOf(read({ sources: [settled], from })), all.slice(from));
  }
  for (const stream of ["stdout", "stderr"] as const) {
    const file = await Deno.readTextFile(directory.logFile(stream));
    assert.equal(await textOf(read({ sources: [settled], stream })), file);
    assert.equal(await jobLogSize([settled], stream), file.length);
  }
});

Deno.test("recordLog() forgets records of bytes that the log has lost", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  appendNow(directory.logFile("stdout"), "kept\n");
  await record({ directory, output: "split" }).finish();
  appendNow(directory.logFile("stderr"), "lost\n");
  await record({ directory, output: "split" }).finish();
  await Deno.truncate(directory.logFile("stderr"), 0);
  const source = sourceOf(directory, { output: "split" });
  assert.equal(await textOf(read({ sources: [source] })), "kept\n");
  appendNow(directory.logFile("stdout"), "more\n");
  assert.equal((await record({ directory, output: "split" }).finish()).logBytes, 10);
  assert.equal(await textOf(read({ sources: [source] })), "kept\nmore\n");
});

Deno.test("readLog() follows a split log in the order of its index", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  const recording = record({ directory, output: "split", watcher: files.watcher });
  const follow = followPort(files.watcher);
  const sources = [sourceOf(directory, { output: "split", settled: false })];
  const views = [
    textOf(read({ sources, follow })),
    textOf(read({ sources, follow, stream: "stderr" })),
  ];
  await Promise.all([
    append(directory.logFile("stdout"), linesOf(3_000, "o")),
    append(directory.logFile("stderr"), linesOf(3_000, "e")),
  ]);
  await recording.finish();
  follow.settle();
  const [all, stderr] = await Promise.all(views);
  assert.equal(stderr, linesOf(3_000, "e"));
  assert.equal(all, await textOf(read({ sources: [sourceOf(directory, { output: "split" })] })));
  assert.equal(all?.length, linesOf(3_000, "o").length + linesOf(3_000, "e").length);
});

Deno.test("readLog() masks a secret whose halves the other stream parts", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  for (
    const [stream, text] of [["stdout", "a hunt"], ["stderr", "-"], ["stdout", "er2 b"]] as const
  ) {
    appendNow(directory.logFile(stream), text);
    await record({ directory, output: "split" }).finish();
  }
  const sources = [sourceOf(directory, { output: "split" })];
  const patterns = patternsOf("hunter2");
  assert.equal(await textOf(read({ sources, patterns })), "a ****-*** b");
  for (let from = 0; from < 12; from++) {
    assert.equal(await textOf(read({ sources, patterns, from })), "a ****-*** b".slice(from));
  }
});

Deno.test("readLog() refuses one stream of a merged log", async () => {
  await using files = await logFiles();
  const sources = [sourceOf(await files.attempt(1))];
  await assert.rejects(textOf(read({ sources, stream: "stdout" })), /output is merged/);
});

Deno.test("readLog() puts the time of the index before each line, else the present", async () => {
  await using files = await logFiles();
  const directory = await files.attempt(1);
  appendNow(directory.logFile("merged"), "a\nb\nc\nd");
  const header = encodeIndexHeader();
  const records = encodeIndexRecords([
    { stream: "merged", timeMs: 1_000, viewEnd: 2, streamEnd: 2 },
    { stream: "merged", timeMs: 2_000, viewEnd: 5, streamEnd: 5 },
  ]);
  await Deno.writeFile(directory.logIndex, new Uint8Array([...header, ...records]));
  const sources = [sourceOf(directory, { settled: false })];
  const timestamps = new FakeClock(9_000);
  const lines = [
    "1970-01-01T00:00:01.000Z a\n",
    "1970-01-01T00:00:02.000Z b\n",
    "1970-01-01T00:00:02.000Z c\n",
    "1970-01-01T00:00:09.000Z d",
  ];
  assert.equal(await textOf(read({ sources, timestamps })), lines.join(""));
  assert.equal(await textOf(read({ sources, timestamps, from: 4 })), lines.slice(2).join(""));
  const middle = await textOf(read({ sources, timestamps, from: 3 }));
  assert.equal(middle, `\n${lines.slice(2).join("")}`);
});

Deno.test("LogWatcher shares one watch per directory and ends it with the last holder", async () => {
  await using files = await logFiles();
  const { path } = await files.attempt(1);
  const first = files.watcher.watch(path);
  {
    using second = files.watcher.watch(path);
    assert.equal(files.watcher.size, 1);
    const { version } = second;
    appendNow(`${path}/file`, "x");
    await second.changed(version, signal);
    assert.ok(first.version > version);
  }
  assert.equal(files.watcher.size, 1);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assert.equal(files.watcher.size, 0);
});
