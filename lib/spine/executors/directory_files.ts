/**
 * The files of an attempt's directory, as far as an executor knows them.
 *
 * @module
 */
import { existsSync, writeAtomic, writeAtomicSync } from "@lib/foundations/files/records.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { StopRequest } from "@lib/spine/jobs/executor.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import { type ExecFailureCode, formatExecFailure } from "@lib/spine/executors/result_record.ts";
import { formatStop } from "@lib/spine/executors/stop_file.ts";

/** The log files an attempt writes; the first is the first made. */
export function logFilesOf(
  directory: AttemptDirectory,
  output: JobSpec["output"],
): readonly string[] {
  return output === "merged"
    ? [directory.logFile("merged")]
    : [directory.logFile("stdout"), directory.logFile("stderr")];
}

/** Records, once and for all, that the attempt's program could not be executed. */
export async function recordExecFailure(
  directory: AttemptDirectory,
  exitCode: ExecFailureCode,
  now: number,
): Promise<void> {
  await writeResult(directory, formatExecFailure(exitCode, now));
}

/** Writes the record of an attempt's end, in one step. */
export async function writeResult(directory: AttemptDirectory, text: string): Promise<void> {
  await writeAtomic(directory.resultFile, text);
}

/**
 * Writes down why an attempt is being stopped; the first reason stays.
 *
 * @returns Whether there is anything to stop: `false` once the end is recorded.
 */
export function requestStop(directory: AttemptDirectory, why: StopRequest): boolean {
  if (existsSync(directory.resultFile)) return false;
  if (existsSync(directory.stopFile)) return true;
  writeAtomicSync(directory.stopFile, formatStop(why));
  return true;
}
