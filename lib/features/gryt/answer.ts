/**
 * The answer to `POST /jobs/execute`, made of a job and its output.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";
import { formatDuration } from "@lib/core/duration.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { type CollectedOutput, NO_OUTPUT } from "@lib/features/gryt/output.ts";
import { judgeRun } from "@lib/features/gryt/verdict.ts";

/** The answer, as it is sent. */
export interface GrytAnswer {
  readonly job_id: number;
  readonly success: boolean;
  /** -1 if the pipeline did not come to an end of its own. */
  readonly exit_code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly duration_seconds: number;
  readonly started_at: string;
  readonly completed_at: string;
  readonly error: string | null;
}

/** The output of a job. */
export interface JobOutput {
  readonly stdout: CollectedOutput;
  readonly stderr: CollectedOutput;
}

/** The answer for a job that never became one. */
export function failedAnswer(
  jobId: number,
  message: string,
  { startedAt, completedAt }: { readonly startedAt: number; readonly completedAt: number },
): GrytAnswer {
  return {
    job_id: jobId,
    success: false,
    exit_code: -1,
    stdout: "",
    stderr: message,
    duration_seconds: (completedAt - startedAt) / 1_000,
    started_at: toRfc3339(startedAt),
    completed_at: toRfc3339(completedAt),
    error: message,
  };
}

/** The answer for a job that has ended. */
export function answerOf(jobId: number, job: Job, output: JobOutput): GrytAnswer {
  const startedAt = job.startedAt ?? job.createdAt;
  const completedAt = Math.max(job.finishedAt ?? startedAt, startedAt);
  const { stdout, stderr } = hasRun(job) ? output : { stdout: NO_OUTPUT, stderr: NO_OUTPUT };
  const times = {
    duration_seconds: Math.round(completedAt - startedAt) / 1_000,
    started_at: toRfc3339(startedAt),
    completed_at: toRfc3339(completedAt),
  };
  if (job.reason === "exit_code" && job.exitCode !== undefined) {
    const verdict = judgeRun({
      exitCode: job.exitCode,
      stdout: stdout.tail,
      stdoutIsWhole: stdout.tailIsWhole,
      stderr: stderr.tail,
    });
    return {
      job_id: jobId,
      success: verdict.success,
      exit_code: verdict.exitCode,
      stdout: stdout.text,
      stderr: stderr.text,
      ...times,
      error: verdict.error ?? null,
    };
  }
  const message = failureOf(job);
  const gap = stderr.text === "" || stderr.text.endsWith("\n") ? "" : "\n";
  return {
    job_id: jobId,
    success: false,
    exit_code: job.reason === "oom_killed" || job.reason === "signal" ? job.exitCode ?? -1 : -1,
    stdout: stdout.text,
    stderr: `${stderr.text}${gap}${message}`,
    ...times,
    error: message,
  };
}

/** Whether the output is the pipeline's own. */
function hasRun({ reason }: Job): boolean {
  switch (reason) {
    case "checkout_failed":
    case "image_unavailable":
    case "start_failed":
    case "exec_failed":
      return false;
    default:
      return true;
  }
}

function failureOf({ reason, message, spec }: Job): string {
  if (reason === "timeout") {
    return `The job ran longer than its time limit of ${formatDuration(spec.timeoutMs)}`;
  }
  return message === undefined || message === ""
    ? `The job ended as ${reason ?? "unknown"}`
    : message;
}
