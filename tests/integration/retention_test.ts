import assert from "node:assert/strict";
import { newJobId } from "@lib/core/ids.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { jobPath } from "@lib/spine/jobs/attempt_directory.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { runCleanings } from "@lib/features/cleaning/runner.ts";
import { type CleanRequest, openCleaner } from "@lib/features/cleaning/cleaner.ts";
import type { HistoryLimits } from "@lib/features/cleaning/plan.ts";
import { cacheSource } from "@lib/features/caches/cleaning.ts";
import { diskSpace } from "@lib/foundations/store/disk_space.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { makeOutcome, openMemoryStore, projectName } from "../support/job_fixtures.ts";
import { RecordingLogger } from "../support/recording_logger.ts";
import { mountSmallDisk } from "../support/small_disk.ts";

const never = new AbortController().signal;
const DAY_MS = 86_400_000;
const MIB = 1_048_576;
const keepAll = { maxAgeMs: 1e12, maxBytes: 1e12 };

const sweep: CleanRequest = { dryRun: false, scope: "history" };

function setup(limits: Partial<HistoryLimits> = {}, stateDir = makeStateDir()) {
  const memory = openMemoryStore();
  const clock = new FakeClock(Date.now());
  const log = new RecordingLogger();
  const cleaner = openCleaner({
    store: memory.store,
    stateDir,
    runtimeDir: `${stateDir}/run`,
    removeForeign: () => Promise.resolve(),
    limits: () => ({
      maxAgeMs: DAY_MS,
      maxJobs: 1_000,
      maxBytes: 1e9,
      minFreeDiskBytes: 0,
      ...limits,
    }),
    sources: [cacheSource({ stateDir, limits: () => keepAll })],
    clock,
    log,
  });
  /** Cleans; gives what was chosen of the jobs, and why. */
  const clean = async (request: CleanRequest = sweep) => {
    const { items } = await cleaner.clean(request, never);
    return items.map(({ name, cause }) => [name, cause]);
  };
  const directoryOf = (job: Pick<Job, "id">) => jobPath(stateDir, projectName(), job.id);
  return {
    ...memory,
    cleaner,
    clean,
    stateDir,
    clock,
    log,
    directoryOf,
    /** A job that ended so long ago, with a directory. */
    ended(agoMs: number): Job {
      const { id } = memory.add();
      memory.claim(id);
      const outcome = makeOutcome({ finishedAt: clock.now() - agoMs, logBytes: 10 });
      memory.store.apply(id, { kind: "ended", attempt: 1, outcome });
      Deno.mkdirSync(`${directoryOf({ id })}/1`, { recursive: true });
      return memory.store.require(id);
    },
    async [Symbol.asyncDispose]() {
      memory[Symbol.dispose]();
      await Deno.remove(stateDir, { recursive: true });
    },
  };
}

Deno.test("a sweep removes the directory and the record of what is too old, and nothing else", async () => {
  await using t = setup();
  const old = t.ended(2 * DAY_MS);
  const young = t.ended(1_000);
  assert.deepEqual(await t.clean({ ...sweep, dryRun: true }), [[old.id, "age"]]);
  assert(t.store.has(old.id));
  assert.deepEqual(await t.clean(), [[old.id, "age"]]);
  assert.equal(t.store.has(old.id), false);
  assert.equal(existsSync(t.directoryOf(old)), false);
  assert(existsSync(t.directoryOf(young)));
});

Deno.test("a sweep counts all that a job keeps on disk as its disk space", async () => {
  await using t = setup({ maxBytes: 500_000 });
  const large = t.ended(2_000);
  const small = t.ended(1_000);
  Deno.mkdirSync(`${t.directoryOf(large)}/1/artifacts/dist`, { recursive: true });
  writeBytes(`${t.directoryOf(large)}/1/artifacts/dist/app`, 1_000_000);
  assert.deepEqual(await t.clean(), [[large.id, "bytes"]]);
  assert(existsSync(t.directoryOf(small)));
});

Deno.test("a sweep leaves a job alone that was retried after the plan was made", async () => {
  await using t = setup({ maxAgeMs: 0 });
  const first = t.ended(2_000);
  const retried = t.ended(1_000);
  // While the record of the first goes, someone asks for the other job again.
  const remove = t.store.remove.bind(t.store);
  t.store.remove = (id) => {
    if (id === first.id) {
      t.store.apply(retried.id, { kind: "retry_requested", at: t.clock.now() });
    }
    return remove(id);
  };
  const { items } = await t.cleaner.clean(sweep, never);
  assert.deepEqual(items.map(({ outcome }) => outcome), ["removed", "kept"]);
  assert.equal(t.store.require(retried.id).state, "queued");
  assert(existsSync(t.directoryOf(retried)));
});

Deno.test("a sweep goes on when one directory cannot be removed, and says so", async () => {
  await using t = setup();
  const stuck = t.ended(3 * DAY_MS);
  const other = t.ended(2 * DAY_MS);
  Deno.removeSync(t.directoryOf(stuck), { recursive: true });
  // A mount point cannot be removed, whoever asks.
  Deno.mkdirSync(t.directoryOf(stuck));
  const mounted = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "stuck", t.directoryOf(stuck)],
    stderr: "null",
  }).output().catch(() => ({ success: false }));
  if (!mounted.success) return console.error("SKIPPED: only root may mount");
  try {
    const { items } = await t.cleaner.clean(sweep, never);
    assert.deepEqual(items.map(({ outcome }) => outcome), ["failed", "removed"]);
    assert.equal(t.store.has(other.id), false);
    assert.equal(existsSync(t.directoryOf(other)), false);
    assert(t.store.has(stuck.id));
    assert.equal(items[0]?.code, "io_failed");
  } finally {
    await new Deno.Command("umount", { args: [t.directoryOf(stuck)] }).output();
  }
  assert.deepEqual(await t.clean(), [[stuck.id, "age"]]);
  assert.equal(t.store.has(stuck.id), false);
});

Deno.test("a sweep removes what no job owns once it is older than anything kept", async () => {
  await using t = setup();
  const orphan = { id: newJobId() };
  const recent = { id: newJobId() };
  for (const job of [orphan, recent]) Deno.mkdirSync(t.directoryOf(job), { recursive: true });
  Deno.writeTextFileSync(`${t.stateDir}/projects/web/jobs/notes.txt`, "mine");
  const then = new Date(t.clock.now() - 2 * DAY_MS);
  await Deno.utime(t.directoryOf(orphan), then, then);
  assert.deepEqual(await t.clean(), [[orphan.id, "left_behind"]]);
  assert.equal(existsSync(t.directoryOf(orphan)), false);
  assert(existsSync(t.directoryOf(recent)));
  assert(existsSync(`${t.stateDir}/projects/web/jobs/notes.txt`));
});

Deno.test("runCleanings() cleans soon after the start, then at its interval, until it is stopped", async () => {
  await using t = setup();
  const stop = new AbortController();
  const { clean } = t.cleaner;
  const options = { clean, intervalMs: () => 60_000, clock: t.clock, log: t.log };
  const done = runCleanings(options, stop.signal);
  const first = t.ended(2 * DAY_MS);
  await t.clock.tick(4_999);
  assert(t.store.has(first.id));
  await t.clock.tick(1);
  while (t.clock.sleeping === 0) await t.clock.tick(0);
  assert.equal(t.store.has(first.id), false);
  const second = t.ended(2 * DAY_MS);
  await t.clock.tick(60_000);
  while (t.clock.sleeping === 0) await t.clock.tick(0);
  assert.equal(t.store.has(second.id), false);
  stop.abort(new Error("the test is over"));
  await done;
});

/** A disk of its own with 200 small ended jobs, a cache, and what else is to fill it. */
async function setupFull(minFreeDiskBytes: number, options: { readonly cacheBytes?: number }) {
  const disk = await mountSmallDisk("32M");
  if (disk === undefined) return undefined;
  const t = setup({ minFreeDiskBytes }, disk.path);
  const jobs = Array.from({ length: 200 }, (_, at) => {
    const job = t.ended(10_000 - at);
    writeBytes(`${t.directoryOf(job)}/1/output.log`, 20_000);
    return job;
  });
  const cache = `${disk.path}/projects/web/caches/npm/${"a".repeat(64)}.tar`;
  if (options.cacheBytes !== undefined) {
    Deno.mkdirSync(cache.slice(0, cache.lastIndexOf("/")), { recursive: true });
    writeBytes(cache, options.cacheBytes);
  }
  return {
    ...t,
    jobs,
    cache,
    left: () => jobs.filter(({ id }) => t.store.has(id)).length,
    free: () => diskSpace(disk.path).freeBytes,
    async [Symbol.asyncDispose]() {
      t[Symbol.dispose]();
      await disk[Symbol.asyncDispose]();
    },
  };
}

const background: CleanRequest = { dryRun: false, scope: "background" };

Deno.test("the hourly cleaning keeps the history that cannot reach the floor", async () => {
  await using t = await setupFull(31 * MIB, {});
  if (t === undefined) return;
  // A workspace at work holds the disk.
  writeBytes(`${t.stateDir}/ballast`, 8 * MIB);
  const { skipped } = await t.cleaner.clean(background, never);
  assert.equal(t.left(), 200);
  assert.match(skipped.join(), /^Kept 200 ended jobs: removing them would free 3\.9M, but/);
  assert.equal(t.log.of("warning").length, 1);
});

Deno.test("the hourly cleaning removes a cache and no job where that reaches the floor", async () => {
  await using t = await setupFull(24 * MIB, { cacheBytes: 8 * MIB });
  if (t === undefined) return;
  assert(t.free() < 24 * MIB);
  await t.cleaner.clean(background, never);
  assert.equal(t.left(), 200);
  assert.equal(existsSync(t.cache), false);
  assert(t.free() >= 24 * MIB);
});

Deno.test("the hourly cleaning removes the oldest jobs until the floor is reached, and no more", async () => {
  await using t = await setupFull(24 * MIB, {});
  if (t === undefined) return;
  const missing = 2 * MIB;
  writeBytes(`${t.stateDir}/ballast`, t.free() - 24 * MIB + missing);
  await t.cleaner.clean(background, never);
  assert(t.free() >= 24 * MIB);
  // 20,000 bytes of log take five blocks of 4K.
  assert.equal(t.left(), 200 - Math.ceil(missing / 20_480));
  assert(t.jobs.slice(0, 100).every(({ id }) => !t.store.has(id)));
});

function makeStateDir(): string {
  return Deno.makeTempDirSync({ prefix: "retention-" });
}

function writeBytes(path: string, bytes: number): void {
  Deno.writeFileSync(path, new Uint8Array(bytes).fill(1));
}
