/**
 * The files of an attempt's folder, as far as an executor knows them.
 *
 * @module
 */
import type { AttemptFolder } from "@lib/jobs/attempt_folder.ts";
import type { StopRequest } from "@lib/jobs/executor.ts";
import type { JobSpec } from "@lib/jobs/model.ts";
import { type ExecFailureCode, formatExecFailure } from "@lib/executors/result_record.ts";
import { formatStop } from "@lib/executors/stop_file.ts";

/** The log files an attempt writes; the first is the first made. */
export function logFilesOf(folder: AttemptFolder, output: JobSpec["output"]): readonly string[] {
  return output === "merged"
    ? [folder.logFile("merged")]
    : [folder.logFile("stdout"), folder.logFile("stderr")];
}

/** Records, once and for all, that the attempt's program could not be executed. */
export async function recordExecFailure(
  folder: AttemptFolder,
  exitCode: ExecFailureCode,
  now: number,
): Promise<void> {
  await writeResult(folder, formatExecFailure(exitCode, now));
}

/** Writes the record of an attempt's end, in one step. */
export async function writeResult(folder: AttemptFolder, text: string): Promise<void> {
  const draft = `${folder.resultFile}.tmp`;
  await Deno.writeTextFile(draft, text, { mode: 0o600 });
  await Deno.rename(draft, folder.resultFile);
}

/**
 * Writes down why an attempt is being stopped; the first reason stays.
 *
 * @returns Whether there is anything to stop: `false` once the end is recorded.
 */
export function requestStop(folder: AttemptFolder, why: StopRequest): boolean {
  if (isThere(folder.resultFile)) return false;
  if (isThere(folder.stopFile)) return true;
  const draft = `${folder.stopFile}.tmp`;
  Deno.writeTextFileSync(draft, formatStop(why), { mode: 0o600 });
  Deno.renameSync(draft, folder.stopFile);
  return true;
}

/** Whether something is at a path, a dangling link included. */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
