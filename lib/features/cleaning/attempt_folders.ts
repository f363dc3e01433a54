/**
 * The folders of all attempts of all projects.
 *
 * @module
 */
import { parseJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { type AttemptRef, projectJobsPath } from "@lib/spine/jobs/attempt_folder.ts";
import { foldersIn } from "@lib/features/cleaning/folders.ts";

/** The projects that have a folder. */
export async function projectsIn(stateDir: string): Promise<readonly ProjectName[]> {
  const names = await foldersIn(`${stateDir}/projects`);
  return names.map((name) => parseProjectName(name)).filter((name) => name !== undefined);
}

/** The attempts that have a folder; those that vanish meanwhile are left out. */
export async function* attemptsIn(
  stateDir: string,
  signal: AbortSignal,
): AsyncGenerator<AttemptRef, void, undefined> {
  for (const project of await projectsIn(stateDir)) {
    const jobs = projectJobsPath(stateDir, project);
    for (const folder of await foldersIn(jobs)) {
      const jobId = parseJobId(folder);
      if (jobId === undefined) continue;
      for (const number of await foldersIn(`${jobs}/${folder}`)) {
        signal.throwIfAborted();
        if (/^[1-9]\d{0,5}$/.test(number)) yield { project, jobId, number: Number(number) };
      }
    }
  }
}
