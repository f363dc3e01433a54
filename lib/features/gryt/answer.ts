/**
 * Makes the answer to `POST /jobs/execute` from a job and its output.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";
import { formatDuration } from "@lib/core/duration.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { type CollectedOutput, NO_OUTPUT } from "@lib/features/gryt/output.ts";
import type { GrytAnswer } from "@lib/features/gryt/schemas.ts";
import { verdictOf } from "@lib/features/gryt/verdict.ts";

/** The output of a job. */
export interface JobOutput {
  readonly stdout: CollectedOutput;
  readonly stderr: CollectedOutput;
}

interface Times {
  readonly startedAt: number;
  readonly completedAt: number;
}

function timesOf({ startedAt, completedAt }: Times) {
  return {
    duration_seconds: Math.round(completedAt - startedAt) / 1_000,
    started_at: toRfc3339(startedAt),
    completed_at: toRfc3339(completedAt),
  };
}

/** Makes the answer to a request that is refused before it becomes a job. */
export function failedAnswer(jobId: number, message: string, times: Times): GrytAnswer {
  return {
    job_id: jobId,
    success: false,
    exit_code: -1,
    stdout: "",
    stderr: message,
    ...timesOf(times),
    error: message,
  };
}

/** Makes the answer of a job that has ended. */
export function answerOf(jobId: number, job: Job, output: JobOutput): GrytAnswer {
  const startedAt = job.startedAt ?? job.createdAt;
  const times = timesOf({
    startedAt,
    completedAt: Math.max(job.finishedAt ?? startedAt, startedAt),
  });
  const { stdout, stderr } = hasRun(job) ? output : { stdout: NO_OUTPUT, stderr: NO_OUTPUT };
  if (job.reason === "exit_code" && job.exitCode !== undefined) {
    const verdict = verdictOf({
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
      error: verdict.error === undefined ? null : verdict.error + hint(job),
    };
  }
  const message = inGrytTerms(failureOf(job));
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

/** Returns why a step may have failed although the program that ran it was not ended. */
function hint({ message = "" }: Job): string {
  const [after = ""] = /, after (?:some of its processes|it was refused) [^]*$/.exec(message) ?? [];
  const advice = after.includes("out of memory") ? "; raise memory_limit" : "";
  return after + advice;
}

/** The request's names of the fields that messages name. */
const GRYT_FIELDS: Readonly<Record<string, string>> = {
  "git.token_secret": "github_token_encrypted",
  "git.url": "git_url",
  "git.ref": "git_branch",
  "limits.memory": "memory_limit",
  "limits.cpu": "cpu_limit",
};

/** Replaces names of fields by those of a Gryt request. */
export function inGrytTerms(message: string): string {
  return Object.entries(GRYT_FIELDS).reduce(
    (text, [own, gryt]) => text.replaceAll(own, gryt),
    message,
  );
}

const SETUP_FAILURES: readonly Job["reason"][] = [
  "checkout_failed",
  "image_unavailable",
  "start_failed",
  "exec_failed",
];

/** Returns whether the output is the pipeline's own. */
function hasRun({ reason }: Job): boolean {
  return !SETUP_FAILURES.includes(reason);
}

function failureOf({ reason, message, spec }: Job): string {
  if (reason === "timeout") {
    return `The job ran longer than its time limit of ${formatDuration(spec.timeoutMs)}`;
  }
  return message === undefined || message === ""
    ? `The job ended as ${reason ?? "unknown"}`
    : message;
}
