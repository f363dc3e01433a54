/**
 * Ended jobs, with their logs and artifacts.
 *
 * @module
 */
import { parseJobId, parseProjectName } from "@lib/core/ids.ts";
import type { EndedJob } from "@lib/spine/queue/job_queries.ts";
import type { PlannedRemoval } from "@lib/features/cleaning/plan_housekeeping.ts";
import { type RemovalResult, REMOVED } from "@lib/features/cleaning/source.ts";

/** The history; `lib/retention/` keeps it. */
export interface EndedJobs {
  /** The oldest end first. */
  list(): readonly EndedJob[];
  /** Looks at the disk. */
  measure(jobs: readonly EndedJob[], signal: AbortSignal): Promise<(job: EndedJob) => number>;
  /** @returns `false` if the job is under way again. */
  remove(job: Pick<EndedJob, "id" | "project">): Promise<boolean>;
}

/** Removes an ended job that the plan has chosen. */
export async function removeJob(
  jobs: EndedJobs,
  { key, project: name }: PlannedRemoval,
): Promise<RemovalResult> {
  const id = parseJobId(key);
  const project = parseProjectName(name ?? "");
  if (id === undefined || project === undefined) {
    throw new TypeError(`Cannot remove "${key}": a plan holds no such job`);
  }
  return await jobs.remove({ id, project })
    ? REMOVED
    : { kind: "kept", why: "the job was retried, or removed by someone else" };
}
