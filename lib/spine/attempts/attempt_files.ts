/**
 * The files of an attempt that the agent writes, and the orphans of an earlier agent.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError, isDiskFull, messageOf } from "@lib/core/errors.ts";
import { parseJobId, type ProjectName } from "@lib/core/ids.ts";
import {
  directoriesIn,
  existsSync,
  leadsToSomething,
  prepareDraft,
  readIfThere,
  statIfThereSync,
  writeAtomicSync,
} from "@lib/foundations/files/records.ts";
import { commitRecord, outcomeRecord } from "@lib/spine/jobs/attempt_record.ts";
import { type JobSpec, specRecord } from "@lib/spine/spec/job_spec.ts";
import {
  type AttemptDirectory,
  attemptDirectory,
  type AttemptRef,
  projectJobsPath,
} from "@lib/spine/jobs/attempt_directory.ts";
import { writeRecord } from "@lib/spine/jobs/attempt_damage.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";

/**
 * Makes an attempt's directory with everything the executor needs; its workspace exists.
 *
 * Synchronous, as each turn of the event loop would delay the job. `attempt.json` comes last: a
 * directory without it was never ready. The drafts let the end be recorded on a full disk.
 *
 * @throws {CicdError} `io_failed` if the disk refuses it now.
 */
export function prepareDirectory(
  { directory, spec }: AttemptHandle,
  sealedSecrets: Uint8Array | undefined,
): void {
  orRefused(() => {
    Deno.mkdirSync(directory.path, { recursive: true, mode: 0o700 });
    if (spec.work.kind === "script") {
      writeAtomicSync(directory.scriptFile, spec.work.text);
    }
    if (sealedSecrets !== undefined) writeAtomicSync(directory.secretsFile, sealedSecrets);
    for (const path of draftedFiles(directory)) prepareDraft(path);
    writeAtomicSync(directory.attemptFile, JSON.stringify({ ...spec, slot: directory.slot }));
  });
}

/** @throws {CicdError} `io_failed` for failures that may pass. */
export function orRefused<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    const isPassing = error instanceof Error && "code" in error && PASSING.includes(error.code);
    throw isPassing ? refused(error) : error;
  }
}

/** Failures that may pass: the disk is full, say, or read-only. */
const PASSING: readonly unknown[] = [
  "EACCES",
  "EBUSY",
  "EDQUOT",
  "EIO",
  "EMFILE",
  "ENOSPC",
  "EPERM",
  "EROFS",
];

/**
 * Makes the directory of an attempt that never starts, for its outcome.
 *
 * @throws {CicdError} `io_failed`
 */
export async function makeDirectory({ path }: AttemptDirectory): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw refused(error);
  }
}

function refused(error: unknown): CicdError {
  const why = `Cannot make the directory of the attempt: ${messageOf(error)}`;
  return new CicdError("io_failed", why, { cause: error });
}

/** Reads the slot of a prepared attempt's workspace; `undefined` if its record names none. */
export async function readSlot({ attemptFile }: AttemptDirectory): Promise<number | undefined> {
  try {
    return parseRecord(slotRecord, await readIfThere(attemptFile))?.slot;
  } catch {
    return undefined;
  }
}

const slotRecord = v.object({
  slot: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(99_999))),
});

/** Reads the spec of a prepared attempt; `undefined` if it was never ready. */
export async function readSpec(directory: AttemptDirectory): Promise<JobSpec | undefined> {
  return parseRecord(specRecord, await readIfThere(directory.attemptFile));
}

/**
 * Reads the outcome of an attempt; `undefined` while there is none.
 *
 * A record that cannot be used is none: the attempt is settled again.
 */
export async function readOutcome(
  directory: AttemptDirectory,
): Promise<AttemptOutcome | undefined> {
  try {
    return parseRecord(outcomeRecord, await readIfThere(directory.outcomeFile, OUTCOME_MAX_BYTES));
  } catch {
    return undefined;
  }
}

/** Reads the commit of an attempt; `undefined` while there is none. */
export async function readCommit(directory: AttemptDirectory): Promise<string | undefined> {
  try {
    return parseCommit(await readIfThere(directory.commitFile, COMMIT_MAX_BYTES));
  } catch {
    return undefined;
  }
}

function parseCommit(text: string | undefined): string | undefined {
  const { success, output } = v.safeParse(commitRecord, text);
  return success ? output : undefined;
}

const COMMIT_MAX_BYTES = 128;

/** Writes the outcome atomically. */
export function writeOutcome(directory: AttemptDirectory, outcome: AttemptOutcome): void {
  const write = (record: AttemptOutcome) =>
    writeRecord(directory, directory.outcomeFile, JSON.stringify(record));
  try {
    write(outcome);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    // As much as the draft holds.
    write({ ...outcome, message: outcome.message.slice(0, 500) });
  }
}

/** Its message is much shorter. */
const OUTCOME_MAX_BYTES = 256 * 1024;

/** The records of an end. */
function draftedFiles({ resultFile, stopFile, outcomeFile }: AttemptDirectory) {
  return [resultFile, stopFile, outcomeFile];
}

/**
 * Removes what only a running attempt needs: its directories for files of the job, and unused drafts.
 * Its workspace may be another attempt's by now.
 *
 * @throws {CicdError} If one of them remains; the others are removed all the same.
 */
export async function removeWorkspace(
  directory: AttemptDirectory,
  remove: (path: string) => Promise<void> = removeTree,
): Promise<void> {
  const drafts = draftedFiles(directory).map((path) => `${path}.draft`).filter((draft) =>
    leadsToSomething(draft) && !removedAtOnce(draft)
  );
  // Looking is cheaper than a removal in another thread; most of it is not there.
  const left = [...drafts, ...jobDirectories(directory).filter(existsSync)];
  const ends = await Promise.allSettled(left.map(remove));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

/** Another thread would take longer; only what a job put in the file's place is left to it. */
function removedAtOnce(file: string): boolean {
  try {
    Deno.removeSync(file);
    return true;
  } catch {
    return false;
  }
}

function jobDirectories({ slot, workspace, home, temporary }: AttemptDirectory) {
  return slot === undefined ? [workspace, home, temporary] : [home];
}

/** A power failure can empty a file that was complete: an empty file counts as missing. */
function parseRecord<T>(schema: v.GenericSchema<unknown, T>, text?: string): T | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  try {
    return v.parse(schema, JSON.parse(text));
  } catch (error) {
    throw new CicdError("io_failed", `Cannot read a record of an attempt: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Attempts of an earlier agent that need care. */
export interface Orphans {
  /** Attempts without an outcome: alive, ended unnoticed, or never started. */
  readonly unsettled: readonly AttemptRef[];
  /** Attempts with an outcome and a workspace. */
  readonly untidy: readonly AttemptRef[];
}

/**
 * Finds the orphans of an earlier agent in the directories of a project's jobs.
 *
 * Synchronous: a history of thousands of jobs must not delay the first job.
 */
export function findOrphans(stateDir: string, project: ProjectName): Orphans {
  const unsettled: AttemptRef[] = [];
  const untidy: AttemptRef[] = [];
  const jobs = projectJobsPath(stateDir, project);
  for (const name of accessible(() => directoriesIn(jobs)) ?? []) {
    const jobId = parseJobId(name);
    if (jobId === undefined) continue;
    for (const number of accessible(() => directoriesIn(`${jobs}/${name}`)) ?? []) {
      if (!/^[1-9]\d{0,5}$/.test(number)) continue;
      const ref = { project, jobId, number: Number(number) };
      const directory = attemptDirectory(stateDir, ref);
      const isSettled = accessible(() => statIfThereSync(directory.outcomeFile)?.isFile ?? false);
      if (isSettled === false) unsettled.push(ref);
      else if (isSettled && jobDirectories(directory).some(existsSync)) untidy.push(ref);
    }
  }
  return { unsettled, untidy };
}

/** A directory that a job closed is opened when the runner asks for the attempt. */
function accessible<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}
