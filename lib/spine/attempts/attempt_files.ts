/**
 * The files of an attempt that the agent writes itself, and what an earlier agent left of them.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { parseJobId, type ProjectName } from "@lib/core/ids.ts";
import {
  directoriesIn,
  existsSync,
  readIfThere,
  writeAtomic,
  writeAtomicSync,
} from "@lib/foundations/files/records.ts";
import { parseOutcome } from "@lib/spine/jobs/attempt_record.ts";
import { type JobSpec, parseSpec } from "@lib/spine/spec/job_spec.ts";
import {
  type AttemptDirectory,
  attemptDirectory,
  type AttemptRef,
  projectJobsPath,
} from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { removeTree } from "@lib/foundations/store/remove_tree.ts";

/**
 * Makes an attempt's directory with everything the executor needs.
 *
 * Synchronous, as each turn of the event loop would add to the job's start. `attempt.json` comes
 * last: a directory without it was never ready.
 */
export function prepareDirectory(
  { directory, spec }: AttemptHandle,
  sealedSecrets: Uint8Array | undefined,
): void {
  Deno.mkdirSync(directory.workspace, { recursive: true, mode: 0o700 });
  if (spec.work.kind === "script") {
    Deno.writeTextFileSync(directory.scriptFile, spec.work.text, { mode: 0o600 });
  }
  if (sealedSecrets !== undefined) {
    Deno.writeFileSync(directory.secretsFile, sealedSecrets, { mode: 0o600 });
  }
  writeAtomicSync(directory.attemptFile, JSON.stringify(spec));
}

/** The spec of a prepared attempt; `undefined` if it was never ready. */
export async function readSpec(directory: AttemptDirectory): Promise<JobSpec | undefined> {
  return parsedOrNone(await readIfThere(directory.attemptFile), parseSpec);
}

/** The verdict on an attempt; `undefined` while there is none. */
export async function readOutcome(
  directory: AttemptDirectory,
): Promise<AttemptOutcome | undefined> {
  return parsedOrNone(await readIfThere(directory.outcomeFile), parseOutcome);
}

/** Writes the verdict in one step. */
export async function writeOutcome(
  directory: AttemptDirectory,
  outcome: AttemptOutcome,
): Promise<void> {
  await writeAtomic(directory.outcomeFile, JSON.stringify(outcome));
}

/** Removes what only a running attempt needs: the workspace and its home. */
export async function removeWorkspace(directory: AttemptDirectory): Promise<void> {
  await removeTree(directory.workspace);
  await removeTree(directory.home);
}

/** A power cut can leave a file empty that was complete: it counts as not there. */
function parsedOrNone<T>(text: string | undefined, parse: (value: unknown) => T): T | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  try {
    return parse(JSON.parse(text));
  } catch (error) {
    throw new CicdError("io_failed", `Cannot read a record of an attempt: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Attempts of an earlier agent that need one. */
export interface Orphans {
  /** Attempts without an outcome: alive, ended unseen, or never begun. */
  readonly unsettled: readonly AttemptRef[];
  /** Attempts with an outcome whose workspace is still there. */
  readonly untidy: readonly AttemptRef[];
}

/**
 * Finds what an earlier agent left in the directories of a project's jobs.
 *
 * Synchronous: a history of thousands of jobs must not delay the first job's start.
 */
export function findOrphans(stateDir: string, project: ProjectName): Orphans {
  const unsettled: AttemptRef[] = [];
  const untidy: AttemptRef[] = [];
  const jobs = projectJobsPath(stateDir, project);
  for (const name of directoriesIn(jobs)) {
    const jobId = parseJobId(name);
    if (jobId === undefined) continue;
    for (const number of directoriesIn(`${jobs}/${name}`)) {
      if (!/^[1-9]\d{0,5}$/.test(number)) continue;
      const ref = { project, jobId, number: Number(number) };
      const directory = attemptDirectory(stateDir, ref);
      if (!existsSync(directory.outcomeFile)) unsettled.push(ref);
      else if (existsSync(directory.workspace) || existsSync(directory.home)) untidy.push(ref);
    }
  }
  return { unsettled, untidy };
}
