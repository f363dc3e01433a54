/**
 * Finding the job that a path names.
 *
 * @module
 */
import { type Caller, LOCAL_CALLER, projectsOf, seesProject } from "@lib/api/caller.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseJobId } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { ApiPorts } from "@lib/api/ports.ts";

/** Finds the job of a path by its id, or by the beginning of it. @throws `job_not_found` */
export function find(ports: ApiPorts, params: Readonly<Record<string, string>>): Job {
  return findVisible(ports, params, LOCAL_CALLER);
}

/**
 * As {@linkcode find}; jobs of projects that the caller may not know of are as if they were not
 * there.
 */
export function findVisible(
  ports: ApiPorts,
  params: Readonly<Record<string, string>>,
  caller: Caller,
): Job {
  const text = params["id"] ?? "";
  const isBeginning = /^[0-9a-f-]{6,35}$/.test(text);
  const [id, another] = isBeginning
    ? ports.store.findByPrefix(text, projectsOf(caller))
    : [parseJobId(text)];
  if (id === undefined || another !== undefined) {
    throw notFound(
      text,
      !isBeginning
        ? "that is no job id"
        : id === undefined
        ? "no id begins so"
        : "several ids begin so; give more of it",
    );
  }
  const job = ports.store.get(id);
  if (job !== undefined && seesProject(caller, job.spec.project)) return job;
  throw notFound(id, "it never was, or its record has been removed by retention");
}

function notFound(text: string, why: string): CicdError {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  return new CicdError("job_not_found", `Cannot find job ${shown}: ${why}`);
}
