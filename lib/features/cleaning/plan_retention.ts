/**
 * What of the history is removed, and why. Decides only; `lib/retention/`
 * removes.
 *
 * @module
 */
import type { EndedJob } from "@lib/spine/queue/job_queries.ts";

/** How much of the history is kept. */
export interface RetentionLimits {
  readonly maxAgeMs: number;
  readonly maxJobs: number;
  /** Bytes of log and artifacts over all ended jobs. */
  readonly maxBytes: number;
  /** Below this the oldest jobs go until enough is free. */
  readonly minFreeDiskBytes: number;
}

/** The limit that a job fell to. */
export type RemovalCause = "age" | "count" | "bytes" | "free_disk";

/** A job to remove. */
export interface Removal {
  readonly job: EndedJob;
  readonly cause: RemovalCause;
}

/** What the decision depends on. */
export interface RetentionFacts {
  /** The oldest end first. */
  readonly ended: readonly EndedJob[];
  readonly now: number;
  readonly freeDiskBytes: number;
  /** Bytes on disk of a job. @default {its `logBytes`} */
  readonly bytesOf?: (job: EndedJob) => number;
}

/** Chooses the jobs to remove, oldest first; a job that has not ended is never among them. */
export function planRetention(
  { ended, now, freeDiskBytes, bytesOf = ({ logBytes }) => logBytes }: RetentionFacts,
  limits: RetentionLimits,
): readonly Removal[] {
  const removals: Removal[] = [];
  let count = ended.length;
  let bytes = ended.reduce((sum, job) => sum + bytesOf(job), 0);
  let free = freeDiskBytes;
  for (const job of ended) {
    const cause = causeFor({ ageMs: now - job.finishedAt, count, bytes, free }, limits);
    if (cause === undefined) break;
    removals.push({ job, cause });
    count--;
    bytes -= bytesOf(job);
    free += bytesOf(job);
  }
  return removals;
}

function causeFor(
  held: { ageMs: number; count: number; bytes: number; free: number },
  limits: RetentionLimits,
): RemovalCause | undefined {
  if (held.ageMs > limits.maxAgeMs) return "age";
  if (held.count > limits.maxJobs) return "count";
  if (held.bytes > limits.maxBytes) return "bytes";
  if (held.free < limits.minFreeDiskBytes) return "free_disk";
  return undefined;
}
