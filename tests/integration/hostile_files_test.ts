/**
 * Files that a job makes in order to stop the programs that read or remove them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { ignore } from "@lib/core/errors.ts";
import { systemClock } from "@lib/core/clock.ts";
import { readIfThere, readIfThereSync, writeAtomic } from "@lib/foundations/files/records.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import { Inotify } from "@lib/foundations/systemd/inotify.ts";
import { Libc } from "@lib/foundations/systemd/libc.ts";
import { DirectExecutor } from "@lib/spine/executors/direct_executor.ts";
import { readLog } from "@lib/spine/logs/log_reader.ts";
import { recordLog } from "@lib/spine/logs/log_recorder.ts";
import { encodeIndexHeader, encodeIndexRecords } from "@lib/spine/logs/log_index.ts";
import { openIndexWriter, openLogIndex } from "@lib/spine/logs/log_index_file.ts";
import { LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import { Bench, deadline, script } from "../support/executor_contract.ts";
import { followPort, patternsOf, sourceOf, textOf } from "../support/log_files.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { treeBytes } from "@lib/foundations/store/disk_space.ts";

const LEVELS = 60_000;

/** Makes nested directories, deeper than any path can name. */
async function nest(path: string, levels: number): Promise<void> {
  const code = `import os, sys
os.chdir(sys.argv[1])
for _ in range(int(sys.argv[2])):
    os.mkdir("d")
    os.chdir("d")
`;
  const made = await new Deno.Command("python3", { args: ["-c", code, path, `${levels}`] })
    .output();
  assert.ok(made.success, new TextDecoder().decode(made.stderr));
}

Deno.test("removeTree() and treeBytes() survive 60,000 nested directories", async () => {
  const path = Deno.makeTempDirSync({ prefix: "deep-" });
  await nest(path, LEVELS);
  let turns = 0;
  const timer = setInterval(() => turns++, 10);
  try {
    const bytes = await treeBytes(path, AbortSignal.timeout(60_000));
    assert.ok(bytes >= 0);
    await removeTree(path);
  } finally {
    clearInterval(timer);
  }
  assert.throws(() => Deno.lstatSync(path), Deno.errors.NotFound);
  assert.ok(turns > 10, `the event loop turned ${turns} times`);
});

Deno.test("removeTree() removes read-only directories and links, and follows no link", async () => {
  const path = Deno.makeTempDirSync({ prefix: "deep-" });
  const kept = Deno.makeTempDirSync({ prefix: "kept-" });
  try {
    Deno.writeTextFileSync(`${kept}/file`, "kept");
    Deno.mkdirSync(`${path}/-rf/inner`, { recursive: true });
    Deno.symlinkSync(kept, `${path}/-rf/inner/link`);
    Deno.chmodSync(`${path}/-rf/inner`, 0o500);
    await removeTree(`${path}/-rf`);
    assert.deepEqual([...Deno.readDirSync(path)], []);
    await removeTree(`${path}/missing`);
    Deno.symlinkSync(kept, `${path}/link`);
    await removeTree(`${path}/link`);
    assert.equal(Deno.readTextFileSync(`${kept}/file`), "kept");
  } finally {
    await removeTree(path);
    await removeTree(kept);
  }
});

async function makeFifo(path: string): Promise<void> {
  assert.ok((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
}

const FIFO_JOBS = [["merged", "namespace"], ["split", "namespace"], ["split", "marker"]] as const;

for (const [output, contain] of FIFO_JOBS) {
  const name =
    `A job (${contain}) with FIFOs for its records ends, and its ${output} log is followed`;
  Deno.test(name, async () => {
    await using bench = new Bench({
      name: "DirectExecutor",
      create: () => Promise.resolve(new DirectExecutor({ clock: systemClock, contain })),
    });
    await using watcher = new LogWatcher({ clock: systemClock });
    const executor = await bench.executor();
    const job = `cd ..
rm -f output.log stdout.log stderr.log log.index log.capped
mkfifo beside output.log stdout.log stderr.log log.index log.capped outcome.json.tmp result.tmp
mkfifo outcome.json stop.draft result.draft .claim.$PPID artifacts.json
sleep 0.5`;
    const request = bench.request(script(job), { output });
    const { directory } = request;
    const signal = deadline();
    await executor.start(request, signal);
    const port = followPort(watcher);
    const source = sourceOf(directory, { output, settled: false });
    const text = textOf(
      readLog({
        sources: [source],
        patterns: () => Promise.resolve(patternsOf()),
        from: 0,
        follow: port,
        signal,
      }),
    );
    // Awaited below, unless the test fails before that.
    void text.catch(ignore("the failure of the test counts"));
    const failures: unknown[] = [];
    await using recording = recordLog({
      directory,
      output,
      maxBytes: 1,
      clock: systemClock,
      watcher,
      onFailure: (error) => failures.push(error),
      signal,
    });
    const outcome = await executor.ended(request, signal);
    assert.equal(outcome.state, "succeeded", outcome.message);
    assert.equal((await recording.finish()).logBytes, 0);
    assert.equal(await readIfThere(directory.outcomeFile), undefined);
    await writeAtomic(directory.outcomeFile, "{}");
    assert.equal(await readIfThere(directory.outcomeFile), "{}");
    port.settle();
    assert.equal(await text, "");
    assert.deepEqual(failures, []);
  });
}

Deno.test("openRegular() opens only regular files, and creates them in place of others", async () => {
  const path = Deno.makeTempDirSync({ prefix: "fifo-" });
  try {
    await makeFifo(`${path}/fifo`);
    Deno.writeTextFileSync(`${path}/file`, "text");
    Deno.symlinkSync("file", `${path}/link`);
    for (const name of ["fifo", "link", ".", "missing", "file/below"]) {
      assert.equal(openRegular(`${path}/${name}`, { read: true }), undefined, name);
      assert.equal(openRegular(`${path}/${name}`, { append: true }), undefined, name);
      assert.equal(readIfThereSync(`${path}/${name}`), undefined, name);
    }
    assert.equal(readIfThereSync(`${path}/file`), "text");
    for (const name of ["fifo", "link", "file", "missing"]) {
      using file = openRegular(`${path}/${name}`, { create: true, append: true, mode: 0o600 });
      assert.equal(file.writeSync(new Uint8Array([46])), 1);
    }
    assert.equal(readIfThereSync(`${path}/fifo`), ".");
    assert.equal(readIfThereSync(`${path}/link`), ".");
    assert.equal(readIfThereSync(`${path}/file`), "text.");
  } finally {
    await removeTree(path);
  }
});

Deno.test("Inotify reports changes, the end of a directory, and nothing to watch", async () => {
  const path = Deno.makeTempDirSync({ prefix: "inotify-" });
  await using inotify = new Inotify(new Libc());
  assert.equal(inotify.watch(`${path}/missing`, () => {}), undefined);
  const events = { first: 0, second: 0 };
  let seen = Promise.withResolvers<void>();
  using first = inotify.watch(path, () => {
    events.first++;
    seen.resolve();
  });
  {
    using _second = inotify.watch(path, () => void events.second++);
    await makeFifo(`${path}/fifo`);
    await seen.promise;
  }
  assert.deepEqual(events, { first: 1, second: 1 });
  seen = Promise.withResolvers<void>();
  Deno.writeTextFileSync(`${path}/file`, "x");
  await seen.promise;
  assert.equal(events.second, 1);
  await removeTree(path);
  assert.ok(first !== undefined);
  await first.ended;
});

/** Bytes that this process has read so far. */
function bytesRead(): number {
  return Number(/^rchar: (\d+)/.exec(Deno.readTextFileSync("/proc/self/io"))?.[1]);
}

Deno.test("an index that a job made 8 TB long, with a hole, is not read whole", () => {
  const path = Deno.makeTempFileSync({ prefix: "index-" });
  try {
    const records = [1, 2, 3].map((end) =>
      ({ stream: "stdout", timeMs: end, viewEnd: end, streamEnd: end }) as const
    );
    const parts = [encodeIndexHeader(), encodeIndexRecords(records)];
    Deno.writeFileSync(path, Uint8Array.from(parts.flatMap((part) => [...part])));
    const length = Deno.statSync(path).size;
    Deno.truncateSync(path, 8e12);
    const before = bytesRead();
    {
      using index = openLogIndex(path);
      assert.equal(index?.validCount(), 3);
      assert.equal(index.validCount({ merged: 0, stdout: 2, stderr: 0 }), 2);
      assert.equal(index.find("stdout", 1, 4e11), 1);
    }
    openIndexWriter(path, { merged: 0, stdout: 3, stderr: 0 })[Symbol.dispose]();
    assert.equal(Deno.statSync(path).size, length);
    assert.ok(bytesRead() - before < 1024 * 1024);
  } finally {
    Deno.removeSync(path);
  }
});
