/**
 * Files in an attempt's directory that executors write.
 *
 * @module
 */
import * as v from "valibot";
import { isDiskFull } from "@lib/core/errors.ts";
import { existsSync, statIfThereSync } from "@lib/foundations/files/records.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import { writeRecord } from "@lib/spine/jobs/attempt_damage.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { StopRequest } from "@lib/spine/jobs/executor.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import { type ExecFailureCode, formatExecFailure } from "@lib/spine/executors/result_record.ts";

/** Returns an attempt's log files, in the order of their creation. */
export function logFilesOf(
  directory: AttemptDirectory,
  output: JobSpec["output"],
): readonly string[] {
  return output === "merged"
    ? [directory.logFile("merged")]
    : [directory.logFile("stdout"), directory.logFile("stderr")];
}

/** Records that the attempt's program could not be executed. */
export function recordExecFailure(
  directory: AttemptDirectory,
  exitCode: ExecFailureCode,
  now: number,
): void {
  writeResult(directory, formatExecFailure(exitCode, now));
}

/** Writes the record of an attempt's end, atomically. */
export function writeResult(directory: AttemptDirectory, text: string): void {
  writeRecord(directory, directory.resultFile, text);
}

/**
 * Writes a stop request; the first one stays, and its time is that of its file. An attempt whose
 * end is recorded needs none. On a full disk the request may not say why.
 *
 * @returns `false` if it cannot be written. The attempt is to be stopped all the same.
 */
export function requestStop(directory: AttemptDirectory, { reason, by }: StopRequest): boolean {
  const { stopFile, resultFile } = directory;
  try {
    if (existsSync(stopFile) || statIfThereSync(resultFile)?.isFile === true) return true;
    writeRecord(directory, stopFile, JSON.stringify({ reason, by }) + "\n");
    return true;
  } catch (error) {
    return isDiskFull(error) && createEmpty(stopFile);
  }
}

function createEmpty(path: string): boolean {
  try {
    openRegular(path, { write: true, create: true, mode: 0o600 }).close();
    return true;
  } catch {
    return false;
  }
}

/** Size limit of a stop request. */
export const STOP_MAX_BYTES = 16 * 1024;

const UNREADABLE: StopRequest = { reason: "cancelled", by: "by an unreadable request" };

const stopRequest = v.fallback(
  v.pipe(
    v.string(),
    v.maxLength(STOP_MAX_BYTES),
    v.parseJson(),
    v.object({
      reason: v.picklist(["cancelled", "superseded", "timeout"]),
      by: v.fallback(v.string(), UNREADABLE.by),
    }),
  ),
  UNREADABLE,
);

/**
 * Parses a stop request.
 *
 * The file's existence is the request: an unreadable text counts as a cancel by an unknown user.
 */
export function parseStop(text: string): StopRequest {
  return v.parse(stopRequest, text);
}
