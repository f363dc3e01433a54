/**
 * Finds the job that a path names.
 *
 * @module
 */
import { type Caller, projectsOf, seesProject } from "@lib/core/caller.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseJobId } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";

/** Reads jobs by id. */
export type JobLookup = Pick<JobStore, "get" | "findByPrefix">;

/**
 * Finds a job by its id or by the beginning of it.
 *
 * For a caller that is restricted to projects, jobs of other projects do not exist: neither does
 * such a job answer, nor does it make a prefix ambiguous.
 *
 * @throws {CicdError} `job_not_found`
 */
export function findVisible(jobs: JobLookup, text: string, caller: Caller): Job {
  const isPrefix = /^[0-9a-f-]{6,35}$/.test(text);
  const [id, another] = isPrefix ? jobs.findByPrefix(text, projectsOf(caller)) : [parseJobId(text)];
  if (id === undefined || another !== undefined) {
    throw notFound(
      text,
      !isPrefix
        ? "that is not a job id"
        : id === undefined
        ? "no id begins with that"
        : "several ids begin with that; give more of it",
    );
  }
  const job = jobs.get(id);
  if (job !== undefined && seesProject(caller, job.spec.project)) return job;
  throw notFound(id, "it never existed, or its record has been removed by retention");
}

/** Quotes text of a request in a message, shortened. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

function notFound(text: string, why: string): CicdError {
  return new CicdError("job_not_found", `Cannot find job ${quoted(text)}: ${why}`);
}
