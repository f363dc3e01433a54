/**
 * Removes what retention has chosen, and what no job owns.
 *
 * The folder goes first, then the record: a crash in between leaves a record
 * without a log, which the next sweep removes, and never a folder that nobody
 * knows of.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { Logger } from "@lib/core/logger.ts";
import { jobPath } from "@lib/jobs/attempt_folder.ts";
import type { JobStore } from "@lib/jobs/job_store.ts";
import { planRetention, type Removal, type RetentionLimits } from "@lib/jobs/retention.ts";

/** Options of the sweep. */
export interface SweepOptions {
  readonly store: JobStore;
  readonly stateDir: string;
  readonly limits: () => RetentionLimits & { readonly intervalMs: number };
  readonly clock: Clock;
  readonly log: Logger;
}

/** What would be removed now. */
export function planSweep({ store, stateDir, limits, clock }: SweepOptions): readonly Removal[] {
  return planRetention(
    { ended: store.ended(), now: clock.now(), freeDiskBytes: freeDiskBytes(stateDir) },
    limits(),
  );
}

/** Removes what is beyond the limits; returns what was removed. */
export async function sweep(
  options: SweepOptions,
  signal: AbortSignal,
): Promise<readonly Removal[]> {
  const removed: Removal[] = [];
  for (const removal of planSweep(options)) {
    signal.throwIfAborted();
    const { id, project } = removal.job;
    await removeFolder(jobPath(options.stateDir, project, id));
    if (options.store.remove(id)) removed.push(removal);
  }
  if (removed.length > 0) {
    options.log.info("Removed ended jobs", {
      count: removed.length,
      logBytes: removed.reduce((sum, { job }) => sum + job.logBytes, 0),
    });
  }
  return removed;
}

/** Sweeps at the configured interval until `signal` aborts. */
export async function runSweeps(options: SweepOptions, signal: AbortSignal): Promise<void> {
  const { clock, log, limits } = options;
  const backoff = new Backoff({ firstMs: 5_000, maxMs: 600_000 });
  while (!signal.aborted) {
    let restMs = limits().intervalMs;
    try {
      await sweep(options, signal);
      backoff.reset();
    } catch (error) {
      if (signal.aborted) return;
      log.error("Cannot remove ended jobs; trying again", { error });
      restMs = backoff.next();
    }
    try {
      await clock.sleep(restMs, { signal });
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
  }
}

/** Bytes an ordinary user may still write below `path`. */
export function freeDiskBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return Number(bavail) * Number(bsize);
}

async function removeFolder(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
