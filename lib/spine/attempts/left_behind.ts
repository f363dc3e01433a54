/**
 * What an earlier agent left in a project's job folders.
 *
 * @module
 */
import { existsSync, foldersIn } from "@lib/foundations/files/records.ts";
import { parseJobId, type ProjectName } from "@lib/core/ids.ts";
import { attemptFolder, type AttemptRef, projectJobsPath } from "@lib/spine/jobs/attempt_folder.ts";

/** What was found. */
export interface LeftBehind {
  /** Attempts without an outcome: alive, ended unseen, or never begun. */
  readonly unsettled: readonly AttemptRef[];
  /** Attempts with an outcome whose workspace is still there. */
  readonly untidy: readonly AttemptRef[];
}

/**
 * Looks through the folders of all attempts.
 *
 * Synchronous: a history of thousands of jobs must not delay the first job's start.
 */
export function findLeftBehind(stateDir: string, project: ProjectName): LeftBehind {
  const unsettled: AttemptRef[] = [];
  const untidy: AttemptRef[] = [];
  const jobs = projectJobsPath(stateDir, project);
  for (const name of foldersIn(jobs)) {
    const jobId = parseJobId(name);
    if (jobId === undefined) continue;
    for (const number of foldersIn(`${jobs}/${name}`)) {
      if (!/^[1-9]\d{0,5}$/.test(number)) continue;
      const ref = { project, jobId, number: Number(number) };
      const folder = attemptFolder(stateDir, ref);
      if (!existsSync(folder.outcomeFile)) unsettled.push(ref);
      else if (existsSync(folder.workspace) || existsSync(folder.home)) untidy.push(ref);
    }
  }
  return { unsettled, untidy };
}
