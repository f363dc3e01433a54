/**
 * The files of an attempt that the agent writes itself.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { parseOutcome, parseSpec } from "@lib/jobs/attempt_record.ts";
import type { AttemptFolder } from "@lib/jobs/attempt_folder.ts";
import type { AttemptHandle } from "@lib/jobs/executor.ts";
import type { AttemptOutcome, JobSpec } from "@lib/jobs/model.ts";
import { removeTree } from "@lib/store/remove_tree.ts";

/**
 * Makes an attempt's folder with everything the executor needs.
 *
 * Synchronous, as each turn of the event loop would add to the job's start. `attempt.json` comes
 * last: a folder without it was never ready.
 */
export function prepareFolder(
  { folder, spec }: AttemptHandle,
  sealedSecrets: Uint8Array | undefined,
): void {
  Deno.mkdirSync(folder.workspace, { recursive: true, mode: 0o700 });
  if (spec.work.kind === "script") {
    Deno.writeTextFileSync(folder.scriptFile, spec.work.text, { mode: 0o600 });
  }
  if (sealedSecrets !== undefined) {
    Deno.writeFileSync(folder.secretsFile, sealedSecrets, { mode: 0o600 });
  }
  const draft = `${folder.attemptFile}.tmp`;
  Deno.writeTextFileSync(draft, JSON.stringify(spec), { mode: 0o600 });
  Deno.renameSync(draft, folder.attemptFile);
}

/** The spec of a prepared attempt; `undefined` if it was never ready. */
export async function readSpec(folder: AttemptFolder): Promise<JobSpec | undefined> {
  return parsedOrNone(await readIfThere(folder.attemptFile), parseSpec);
}

/** The verdict on an attempt; `undefined` while there is none. */
export async function readOutcome(folder: AttemptFolder): Promise<AttemptOutcome | undefined> {
  return parsedOrNone(await readIfThere(folder.outcomeFile), parseOutcome);
}

/** Writes the verdict in one step. */
export async function writeOutcome(folder: AttemptFolder, outcome: AttemptOutcome): Promise<void> {
  const draft = `${folder.outcomeFile}.tmp`;
  await Deno.writeTextFile(draft, JSON.stringify(outcome), { mode: 0o600 });
  await Deno.rename(draft, folder.outcomeFile);
}

/** Removes what only a running attempt needs: the workspace and its home. */
export async function removeWorkspace(folder: AttemptFolder): Promise<void> {
  await removeTree(folder.workspace);
  await removeTree(folder.home);
}

/** Whether a file is there. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** As {@linkcode exists}, at once. */
export function existsSync(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
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

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
