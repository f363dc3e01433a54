/**
 * The exit code of a command that stands for a job.
 *
 * @module
 */
import { constants } from "node:os";
import type { JobAnswer } from "@lib/api/client/jobs.ts";

/** The job's time limit passed; as timeout(1) has it. */
const EXIT_TIMED_OUT = 124;
/**
 * How the job ended is not known, or it never began: it could not be started, its repository not
 * be checked out, its image not be had.
 */
const EXIT_LOST = 125;
/** The job was cancelled; as a shell has it for Ctrl-C. */
export const EXIT_CANCELLED = 130;

/** Tells an ended job's exit code. */
export function jobExitCode(
  job: Pick<JobAnswer, "state" | "reason" | "exit_code" | "signal">,
): number {
  switch (job.state) {
    case "succeeded":
      return 0;
    case "timed_out":
      return EXIT_TIMED_OUT;
    case "cancelled":
      return EXIT_CANCELLED;
    case "failed":
      return failedExitCode(job);
    default:
      return EXIT_LOST;
  }
}

function failedExitCode(
  { reason, exit_code, signal }: Pick<JobAnswer, "reason" | "exit_code" | "signal">,
): number {
  if (reason !== null && NEVER_BEGUN.includes(reason)) return EXIT_LOST;
  // 0 would say that the job succeeded: the kernel killed a part of it, say.
  if (exit_code !== null && exit_code > 0 && exit_code < 256) return exit_code;
  const number = signalNumber(signal ?? "");
  if (number !== undefined) return 128 + number;
  return reason === "oom_killed" ? 128 + constants.signals.SIGKILL : 1;
}

/** Of these jobs nothing ran. */
const NEVER_BEGUN: readonly string[] = ["start_failed", "checkout_failed", "image_unavailable"];

function signalNumber(name: string): number | undefined {
  return Object.entries(constants.signals).find(([known]) => known === name)?.[1];
}
