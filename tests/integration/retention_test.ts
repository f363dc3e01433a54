import assert from "node:assert/strict";
import { newJobId } from "@lib/core/ids.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { jobPath } from "@lib/spine/jobs/attempt_folder.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { RetentionLimits } from "@lib/features/cleaning/plan_retention.ts";
import { planSweep, runSweeps, sweep, type SweepOptions } from "@lib/features/cleaning/sweep.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { makeOutcome, openMemoryStore, projectName } from "../support/job_fixtures.ts";
import { RecordingLogger } from "../support/recording_logger.ts";

const never = new AbortController().signal;
const DAY_MS = 86_400_000;

function setup(limits: Partial<RetentionLimits> = {}) {
  const memory = openMemoryStore();
  const stateDir = Deno.makeTempDirSync({ prefix: "retention-" });
  const clock = new FakeClock(Date.now());
  const log = new RecordingLogger();
  const options: SweepOptions = {
    store: memory.store,
    stateDir,
    limits: () => ({
      maxAgeMs: DAY_MS,
      maxJobs: 1_000,
      maxBytes: 1e9,
      minFreeDiskBytes: 0,
      intervalMs: 60_000,
      ...limits,
    }),
    clock,
    log,
  };
  const folderOf = (job: Pick<Job, "id">) => jobPath(stateDir, projectName(), job.id);
  return {
    ...memory,
    options,
    stateDir,
    clock,
    log,
    folderOf,
    /** A job that ended so long ago, with a folder. */
    ended(agoMs: number): Job {
      const { id } = memory.add();
      memory.claim(id);
      const outcome = makeOutcome({ finishedAt: clock.now() - agoMs, logBytes: 10 });
      memory.store.apply(id, { kind: "ended", attempt: 1, outcome });
      Deno.mkdirSync(`${folderOf({ id })}/1`, { recursive: true });
      return memory.store.require(id);
    },
    async [Symbol.asyncDispose]() {
      memory[Symbol.dispose]();
      await Deno.remove(stateDir, { recursive: true });
    },
  };
}

Deno.test("sweep() removes the folder and the record of what is too old, and nothing else", async () => {
  await using t = setup();
  const old = t.ended(2 * DAY_MS);
  const young = t.ended(1_000);
  const planned = await planSweep(t.options, never);
  assert.deepEqual(planned.map(({ job }) => job.id), [old.id]);
  const removed = await sweep(t.options, never);
  assert.deepEqual(removed.map(({ job, cause }) => [job.id, cause]), [[old.id, "age"]]);
  assert.equal(t.store.has(old.id), false);
  assert.equal(existsSync(t.folderOf(old)), false);
  assert(existsSync(t.folderOf(young)));
});

Deno.test("sweep() counts the artifacts of a job as its disk space", async () => {
  await using t = setup({ maxBytes: 500_000 });
  const large = t.ended(2_000);
  const small = t.ended(1_000);
  Deno.mkdirSync(`${t.folderOf(large)}/1/artifacts/dist`, { recursive: true });
  Deno.writeFileSync(
    `${t.folderOf(large)}/1/artifacts/dist/app`,
    new Uint8Array(1_000_000).fill(1),
  );
  const removed = await sweep(t.options, never);
  assert.deepEqual(removed.map(({ job, cause }) => [job.id, cause]), [[large.id, "bytes"]]);
  assert(existsSync(t.folderOf(small)));
});

Deno.test("sweep() leaves a job alone that was retried after the plan was made", async () => {
  await using t = setup({ maxAgeMs: 0 });
  t.ended(2_000);
  const retried = t.ended(1_000);
  const sweeping = sweep(t.options, never);
  // The first folder is being removed; meanwhile someone asks for the other job again.
  t.store.apply(retried.id, { kind: "retry_requested", at: t.clock.now() });
  assert.equal((await sweeping).length, 1);
  assert.equal(t.store.require(retried.id).state, "queued");
  assert(existsSync(t.folderOf(retried)));
});

Deno.test("sweep() goes on when one folder cannot be removed, and says so", async () => {
  await using t = setup();
  const stuck = t.ended(3 * DAY_MS);
  const other = t.ended(2 * DAY_MS);
  Deno.removeSync(t.folderOf(stuck), { recursive: true });
  // A mount point cannot be removed, whoever asks.
  Deno.mkdirSync(t.folderOf(stuck));
  const mounted = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "stuck", t.folderOf(stuck)],
    stderr: "null",
  }).output().catch(() => ({ success: false }));
  if (!mounted.success) return console.error("SKIPPED: only root may mount");
  try {
    await assert.rejects(sweep(t.options, never), AggregateError);
    assert.equal(t.store.has(other.id), false);
    assert.equal(existsSync(t.folderOf(other)), false);
  } finally {
    await new Deno.Command("umount", { args: [t.folderOf(stuck)] }).output();
  }
});

Deno.test("sweep() removes what no job owns once it is older than anything kept", async () => {
  await using t = setup();
  const orphan = { id: newJobId() };
  const recent = { id: newJobId() };
  for (const job of [orphan, recent]) Deno.mkdirSync(t.folderOf(job), { recursive: true });
  Deno.writeTextFileSync(`${t.stateDir}/projects/web/jobs/notes.txt`, "mine");
  const then = new Date(t.clock.now() - 2 * DAY_MS);
  await Deno.utime(t.folderOf(orphan), then, then);
  await sweep(t.options, never);
  assert.equal(existsSync(t.folderOf(orphan)), false);
  assert(existsSync(t.folderOf(recent)));
  assert(existsSync(`${t.stateDir}/projects/web/jobs/notes.txt`));
});

Deno.test("runSweeps() sweeps soon after the start, then at its interval, until it is stopped", async () => {
  await using t = setup();
  const stop = new AbortController();
  const done = runSweeps(t.options, stop.signal);
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
