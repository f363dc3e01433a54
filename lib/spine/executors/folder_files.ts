/**
 * The files of an attempt's folder, as far as an executor knows them.
 *
 * @module
 */
import { existsSync, writeAtomic, writeAtomicSync } from "@lib/foundations/files/records.ts";
import type { AttemptFolder } from "@lib/spine/jobs/attempt_folder.ts";
import type { StopRequest } from "@lib/spine/jobs/executor.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import { type ExecFailureCode, formatExecFailure } from "@lib/spine/executors/result_record.ts";
import { formatStop } from "@lib/spine/executors/stop_file.ts";

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
  await writeAtomic(folder.resultFile, text);
}

/**
 * Writes down why an attempt is being stopped; the first reason stays.
 *
 * @returns Whether there is anything to stop: `false` once the end is recorded.
 */
export function requestStop(folder: AttemptFolder, why: StopRequest): boolean {
  if (existsSync(folder.resultFile)) return false;
  if (existsSync(folder.stopFile)) return true;
  writeAtomicSync(folder.stopFile, formatStop(why));
  return true;
}
