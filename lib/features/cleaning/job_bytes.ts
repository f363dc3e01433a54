/**
 * The disk space that ended jobs take.
 *
 * @module
 */
import { jobPath } from "@lib/spine/jobs/attempt_folder.ts";
import type { EndedJob } from "@lib/spine/queue/job_queries.ts";
import { treeBytes } from "@lib/foundations/store/tree_bytes.ts";

/**
 * Measures jobs: their logs, as they are on record, and their artifacts, as they lie on disk.
 *
 * @returns What `planRetention` asks.
 */
export async function measureJobs(
  stateDir: string,
  jobs: readonly EndedJob[],
  signal: AbortSignal,
): Promise<(job: EndedJob) => number> {
  const artifacts = new Map<string, number>();
  for (const { id, project } of jobs) {
    signal.throwIfAborted();
    const path = jobPath(stateDir, project, id);
    for (const number of await attemptsIn(path)) {
      const bytes = await treeBytes(`${path}/${number}/artifacts`, signal);
      if (bytes > 0) artifacts.set(id, (artifacts.get(id) ?? 0) + bytes);
    }
  }
  return ({ id, logBytes }) => logBytes + (artifacts.get(id) ?? 0);
}

async function attemptsIn(path: string): Promise<readonly string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      if (isDirectory && /^[1-9]\d{0,5}$/.test(name)) names.push(name);
    }
  } catch (error) {
    // A folder that the record outlived takes no space.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names;
}
