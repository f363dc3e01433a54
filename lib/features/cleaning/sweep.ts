/**
 * Removes what retention has chosen, and what no job owns.
 *
 * The record goes first, then the folder: only the record's removal can tell
 * that the job has not been retried meanwhile. A crash in between leaves a
 * folder without a record, which a later sweep removes.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { parseJobId, parseProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { foldersIn } from "@lib/foundations/files/records.ts";
import { jobPath, projectJobsPath } from "@lib/spine/jobs/attempt_folder.ts";
import type { EndedJob } from "@lib/spine/queue/job_queries.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import {
  planRetention,
  type Removal,
  type RetentionLimits,
} from "@lib/features/cleaning/plan_retention.ts";
import { removeTree } from "@lib/foundations/store/remove_tree.ts";
import { measureJobs } from "@lib/features/cleaning/job_bytes.ts";

/** Options of the sweep. */
export interface SweepOptions {
  readonly store: JobStore;
  readonly stateDir: string;
  readonly limits: () => RetentionLimits & { readonly intervalMs: number };
  readonly clock: Clock;
  readonly log: Logger;
}

/** What would be removed now. */
export async function planSweep(
  { store, stateDir, limits, clock }: SweepOptions,
  signal: AbortSignal,
): Promise<readonly Removal[]> {
  const ended = store.ended();
  const bytesOf = await measureJobs(stateDir, ended, signal);
  return planRetention(
    { ended, now: clock.now(), freeDiskBytes: freeDiskBytes(stateDir), bytesOf },
    limits(),
  );
}

/**
 * Removes an ended job's record, then its folder.
 *
 * @returns `false` if the job has been retried meanwhile, or is gone; its folder stays.
 */
export async function removeEndedJob(
  { store, stateDir }: Pick<SweepOptions, "store" | "stateDir">,
  { id, project }: Pick<EndedJob, "id" | "project">,
): Promise<boolean> {
  // Decides for good: a job that was retried since the plan was made keeps its folder.
  if (!store.remove(id)) return false;
  await removeTree(jobPath(stateDir, project, id));
  return true;
}

/**
 * Removes what is beyond the limits; returns what was removed.
 *
 * @throws {AggregateError} If some could not be removed, after all others were.
 */
export async function sweep(
  options: SweepOptions,
  signal: AbortSignal,
): Promise<readonly Removal[]> {
  const { log } = options;
  const removed: Removal[] = [];
  const failures: unknown[] = [];
  for (const removal of await planSweep(options, signal)) {
    signal.throwIfAborted();
    try {
      if (await removeEndedJob(options, removal.job)) removed.push(removal);
    } catch (error) {
      failures.push(error);
    }
  }
  if (removed.length > 0) {
    log.info("Removed ended jobs", {
      count: removed.length,
      logBytes: removed.reduce((sum, { job }) => sum + job.logBytes, 0),
    });
  }
  failures.push(...await removeOrphans(options, signal));
  if (failures.length > 0) {
    throw new AggregateError(failures, `Cannot remove ${failures.length} folders of ended jobs`);
  }
  return removed;
}

/**
 * Removes the folders of jobs that are not on record: what a sweep left that was interrupted.
 *
 * Only those older than any job that is kept: after a database was replaced, the logs that it no
 * longer knows of stay for as long as the others do.
 */
async function removeOrphans(options: SweepOptions, signal: AbortSignal): Promise<unknown[]> {
  const { store, stateDir, clock, limits, log } = options;
  const oldest = clock.now() - limits().maxAgeMs;
  const failures: unknown[] = [];
  for (const project of foldersIn(`${stateDir}/projects`)) {
    const name = parseProjectName(project);
    if (name === undefined) continue;
    for (const folder of foldersIn(projectJobsPath(stateDir, name))) {
      signal.throwIfAborted();
      const id = parseJobId(folder);
      if (id === undefined || store.has(id)) continue;
      const path = jobPath(stateDir, name, id);
      try {
        const { mtime } = await Deno.lstat(path);
        if (mtime === null || mtime.getTime() > oldest) continue;
        await removeTree(path);
        log.info("Removed the folder of a job that is not on record", { jobId: id, project: name });
      } catch (error) {
        failures.push(error);
      }
    }
  }
  return failures;
}

/** Sweeps at the configured interval until `signal` aborts. */
export async function runSweeps(options: SweepOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, limits } = options;
  const backoff = new Backoff({ firstMs: 5_000, maxMs: 600_000 });
  // Soon, as an idle runner does not live long; not at once, as someone waits for its first answer.
  let restMs = FIRST_SWEEP_MS;
  while (!signal.aborted) {
    try {
      await clock.sleep(restMs, { signal });
      await sweep(options, signal);
      backoff.reset();
      restMs = limits().intervalMs;
    } catch (error) {
      if (signal.aborted) return;
      log.error("Cannot remove ended jobs; trying again", { error });
      restMs = backoff.next();
    }
  }
}

const FIRST_SWEEP_MS = 5_000;

/** Bytes an ordinary user may still write below `path`. */
export function freeDiskBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return Number(bavail) * Number(bsize);
}
