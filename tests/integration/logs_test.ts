import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import { encodeIndexHeader, encodeIndexRecords } from "@lib/spine/logs/log_index.ts";
import { openLogIndex } from "@lib/spine/logs/log_index_file.ts";
import { readLog, type ReadLogOptions } from "@lib/spine/logs/log_reader.ts";
import { recordLog, type RecordLogOptions } from "@lib/spine/logs/log_recorder.ts";
import { jobLogSize, logSize } from "@lib/spine/logs/log_source.ts";
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

function read(options: Partial<ReadLogOptions> & Pick<ReadLogOptions, "sources">) {
  return readLog({ patterns: NO_SECRETS, from: 0, signal, ...options });
}

function record(options: Pick<RecordLogOptions, "folder"> & Partial<RecordLogOptions>) {
  return recordLog({
    output: "merged",
    maxBytes: 1 << 30,
    clock: systemClock,
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

/** Waits until the index of a folder has records up to `bytes` of log. */
async function indexedTo(folder: { logIndex: string; path: string }, bytes: number) {
  for await (const _ of pulse(folder.path)) {
    using index = openLogIndex(folder.logIndex);
    if ((index?.at(index.soundCount() - 1)?.viewEnd ?? 0) >= bytes) return;
  }
}

/** Comes round at once, and after every change of the folder. */
async function* pulse(path: string): AsyncGenerator<void> {
  using watcher = Deno.watchFs(path);
  yield;
  for await (const _event of watcher) yield;
}

Deno.test("readLog() gives every follower the same bytes, whatever its pace or start", async () => {
  await using files = await logFiles();
  const folder = await files.attempt(1);
  const follow = followPort(files.watcher);
  const patterns = patternsOf("hunter2-and-more");
  const text = linesOf(20_000, "hunter2-and-more");
  const expected = masked(text, patterns);
  const sources = [sourceOf(folder, { settled: false })];
  const pause = () => new Promise((resolve) => setTimeout(resolve, 0));
  const readings = [
    textOf(read({ sources, follow, patterns })),
    textOf(read({ sources, follow, patterns }), pause),
    textOf(read({ sources, follow, patterns, from: 7 })),
    textOf(read({ sources, follow, patterns, from: 100_001 })),
    textOf(read({ sources, follow, patterns, to: 50_000 })),
  ];
  await append(folder.logFile("merged"), text);
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
  const folder = await files.attempt(1);
  const patterns = patternsOf("abcabd", "cab", "line 1");
  const text = linesOf(60, "abcabcabdab");
  appendNow(folder.logFile("merged"), text);
  const whole = masked(text, patterns);
  const sources = [sourceOf(folder)];
  for (let from = 0; from <= whole.length; from += 3) {
    const to = Math.min(whole.length, from + 100);
    const reading = read({ sources, patterns, from, to });
    assert.equal(await textOf(reading), whole.slice(from, to));
    assert.equal(reading.offset, to);
  }
});

Deno.test("readLog() follows a log whose folder does not exist yet", async () => {
  await using files = await logFiles();
  const follow = followPort(files.watcher);
  const reading = read({ sources: [sourceOf(files.paths(1), { settled: false })], follow });
  const chunks = reading[Symbol.asyncIterator]();
  const first = chunks.next();
  const folder = await files.attempt(1);
  appendNow(folder.logFile("merged"), "hello\n");
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
  const folder = await files.attempt(1);
  const stop = new AbortController();
  const follow = followPort(files.watcher);
  const sources = [sourceOf(folder, { settled: false })];
  const chunks = read({ sources, follow, signal: stop.signal })[Symbol.asyncIterator]();
  const waiting = chunks.next();
  const reason = new Error("the client went away");
  stop.abort(reason);
  await assert.rejects(waiting, reason);
  assert.equal(files.watcher.size, 0);
});

Deno.test("readLog() masks the beginning of a secret at the end of a living log", async () => {
  await using files = await logFiles();
  const folder = await files.attempt(1);
  const patterns = patternsOf("hunter2");
  appendNow(folder.logFile("merged"), "pass hunte");
  const living = sourceOf(folder, { settled: false });
  assert.equal(await textOf(read({ sources: [living], patterns })), "pass *****");
  assert.equal(await textOf(read({ sources: [sourceOf(folder)], patterns })), "pass hunte");
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

Deno.test("recordLog() keeps a log to its cap, and readers are told", async () => {
  await using files = await logFiles();
  const folder = await files.attempt(1);
  const maxBytes = 10_240;
  const follow = followPort(files.watcher);
  const recording = record({ folder, maxBytes });
  const living = sourceOf(folder, { maxBytes, settled: false });
  const reading = read({ sources: [living], follow });
  const following = textOf(reading);
  const text = linesOf(20_000, "x");
  await append(folder.logFile("merged"), text);
  assert.equal(await recording.finish(), maxBytes);
  follow.settle();
  assert.equal((await Deno.stat(folder.logFile("merged"))).size, maxBytes);
  const followed = await following;
  const note = /\n\[cicd-toolkit\] log limit 10K reached: at least \d+ bytes dropped\n$/;
  assert.match(followed, note);
  assert.equal(followed.replace(note, ""), text.slice(0, maxBytes));
  assert.equal(reading.offset, maxBytes);
  const source = sourceOf(folder, { maxBytes });
  assert.equal(await logSize(source), maxBytes);
  assert.equal(await textOf(read({ sources: [source] })), followed);
  const ranged = await textOf(read({ sources: [source], from: 5, to: maxBytes }));
  assert.equal(ranged, text.slice(5, maxBytes));
});

Deno.test("recordLog() counts what is dropped across a restart", async () => {
  await using files = await logFiles();
  const folder = await files.attempt(1);
  for (const _round of [1, 2]) {
    appendNow(folder.logFile("merged"), "x".repeat(150));
    assert.equal(await record({ folder, maxBytes: 100 }).finish(), 100);
  }
  assert.equal(await Deno.readTextFile(folder.logCapped), "200\n");
});

Deno.test("recordLog() makes no log file", async () => {
  await using files = await logFiles();
  const folder = await files.attempt(1);
  assert.equal(await record({ folder, output: "split" }).finish(), 0);
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
});

Deno.test("recordLog() gives a split log one order that outlives the recorder's death", async () => {
  await using files = await logFiles();
  const folder = await files.attempt(1);
  const living = sourceOf(folder, { output: "split", settled: false });
  const script = import.meta.resolve("../support/record_log_process.ts");
  const first = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, files.stateDir],
    stdin: "piped",
  }).spawn();
  let bytes = 0;
  for (let at = 0; at < 5; at++) {
    appendNow(folder.logFile("stdout"), `out ${at}\n`);
    await indexedTo(folder, bytes += 6);
    appendNow(folder.logFile("stderr"), `err ${at}\n`);
    await indexedTo(folder, bytes += 6);
  }
  first.kill("SIGKILL");
  await first.stdin.close().catch(ignore("the reader is dead"));
  await first.status;
  const before = await textOf(read({ sources: [living] }));
  assert.equal(before, [0, 1, 2, 3, 4].map((at) => `out ${at}\nerr ${at}\n`).join(""));

  appendNow(folder.logIndex, "torn record");
  appendNow(folder.logFile("stdout"), "out late\n");
  appendNow(folder.logFile("stderr"), "err late\n");
  assert.equal(await textOf(read({ sources: [living] })), before);
  const all = `${before}out late\nerr late\n`;
  const settled = sourceOf(folder, { output: "split" });
  assert.equal(await textOf(read({ sources: [settled] })), all);

  assert.equal(await record({ folder, output: "split" }).finish(), all.length);
  assert.equal(await textOf(read({ sources: [living] })), all);
  for (let from = 0; from <= all.length; from++) {
    assert.equal(await textOf(read({ sources: [settled], from })), all.slice(from));
  }
  for (const stream of ["stdout", "stderr"] as const) {
    const file = await Deno.readTextFile(folder.logFile(stream));
    assert.equal(await textOf(read({ sources: [settled], stream })), file);
    assert.equal(await logSize(settled, stream), file.length);
  }
});

Deno.test("recordLog() forgets records of bytes that the log has lost", async () => {
  await using files = await logFiles();
  const folder = await files.attempt(1);
  appendNow(folder.logFile("stdout"), "kept\n");
  await record({ folder, output: "split" }).finish();
  appendNow(folder.logFile("stderr"), "lost\n");
  await record({ folder, output: "split" }).finish();
  await Deno.truncate(folder.logFile("stderr"), 0);
  const source = sourceOf(folder, { output: "split" });
  assert.equal(await textOf(read({ sources: [source] })), "kept\n");
  appendNow(folder.logFile("stdout"), "more\n");
  assert.equal(await record({ folder, output: "split" }).finish(), 10);
  assert.equal(await textOf(read({ sources: [source] })), "kept\nmore\n");
});

Deno.test("readLog() follows a split log in the order of its index", async () => {
  await using files = await logFiles();
  const folder = await files.attempt(1);
  const recording = record({ folder, output: "split", watcher: files.watcher });
  const follow = followPort(files.watcher);
  const sources = [sourceOf(folder, { output: "split", settled: false })];
  const views = [
    textOf(read({ sources, follow })),
    textOf(read({ sources, follow, stream: "stderr" })),
  ];
  await Promise.all([
    append(folder.logFile("stdout"), linesOf(3_000, "o")),
    append(folder.logFile("stderr"), linesOf(3_000, "e")),
  ]);
  await recording.finish();
  follow.settle();
  const [all, stderr] = await Promise.all(views);
  assert.equal(stderr, linesOf(3_000, "e"));
  assert.equal(all, await textOf(read({ sources: [sourceOf(folder, { output: "split" })] })));
  assert.equal(all?.length, linesOf(3_000, "o").length + linesOf(3_000, "e").length);
});

Deno.test("readLog() masks a secret whose halves the other stream parts", async () => {
  await using files = await logFiles();
  const folder = await files.attempt(1);
  for (
    const [stream, text] of [["stdout", "a hunt"], ["stderr", "-"], ["stdout", "er2 b"]] as const
  ) {
    appendNow(folder.logFile(stream), text);
    await record({ folder, output: "split" }).finish();
  }
  const sources = [sourceOf(folder, { output: "split" })];
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
  const folder = await files.attempt(1);
  appendNow(folder.logFile("merged"), "a\nb\nc\nd");
  const header = encodeIndexHeader();
  const records = encodeIndexRecords([
    { stream: "merged", timeMs: 1_000, viewEnd: 2, streamEnd: 2 },
    { stream: "merged", timeMs: 2_000, viewEnd: 5, streamEnd: 5 },
  ]);
  await Deno.writeFile(folder.logIndex, new Uint8Array([...header, ...records]));
  const sources = [sourceOf(folder, { settled: false })];
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

Deno.test("LogWatcher shares one watch per folder and ends it with the last holder", async () => {
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
