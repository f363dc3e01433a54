/**
 * Jobs and attempts. Durations are milliseconds, sizes bytes, times milliseconds since the epoch.
 *
 * @module
 */
import type { JobId } from "@lib/core/ids.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** The states of a job. The last five are terminal. */
export const JOB_STATES = [
  "queued",
  "starting",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
  "lost",
] as const;

/** A state of {@linkcode JOB_STATES}. */
export type JobState = typeof JOB_STATES[number];

/** The state of a job that has ended. */
export type TerminalState = Exclude<JobState, "queued" | "starting" | "running">;

/** Returns true if a job in `state` has ended. */
export function isTerminal(state: JobState): state is TerminalState {
  return state !== "queued" && state !== "starting" && state !== "running";
}

/** The reasons why an attempt ended. */
export const END_REASONS = [
  /** The job's main process exited; see the exit code. */
  "exit_code",
  /** A signal from outside the suite ended the job's main process. */
  "signal",
  /** The kernel killed the job at its memory limit, or the project's. */
  "oom_killed",
  /** The time limit passed. */
  "timeout",
  /** Someone cancelled the job. */
  "cancelled",
  /** A newer job of the same concurrency group took its place. */
  "superseded",
  /** The program named by the job could not be executed. */
  "exec_failed",
  /** The repository could not be checked out. */
  "checkout_failed",
  /** The container image could not be fetched, or is not allowed here. */
  "image_unavailable",
  /** The suite, not the job, failed: the attempt could not start. */
  "start_failed",
  /** The machine or the service manager stopped under the job. */
  "agent_lost",
] as const;

/** A reason of {@linkcode END_REASONS}. */
export type EndReason = typeof END_REASONS[number];

/** How the processes of an attempt are held together where no service manager or engine does. */
export const CONTAINMENTS = ["namespace", "marker"] as const;

/** A way of {@linkcode CONTAINMENTS}. */
export type Containment = typeof CONTAINMENTS[number];

/** The resources that an attempt used; a value that could not be measured is absent. */
export interface Usage {
  readonly cpuSeconds?: number;
  readonly memoryPeakBytes?: number;
  /** From the first instruction to the end. */
  readonly wallSeconds?: number;
  /** Seconds in which the CPU limit throttled the job. */
  readonly cpuThrottledSeconds?: number;
  /** Absent for units and containers. */
  readonly containment?: Containment;
}

/** The result of an attempt, before any retry policy. */
export interface AttemptOutcome {
  readonly state: TerminalState;
  readonly reason: EndReason;
  /** For people: names the limit, the signal or the missing program. */
  readonly message: string;
  readonly exitCode?: number;
  /** Such as `SIGKILL`. */
  readonly signal?: string;
  readonly usage: Usage;
  readonly startedAt?: number;
  readonly finishedAt: number;
  /** The full id of the checked-out commit. */
  readonly commit?: string;
  /** Bytes of log, over all streams. */
  readonly logBytes: number;
  /** Bytes of log dropped at its cap, at least; absent: none. */
  readonly logDroppedBytes?: number;
  /** Until when its place is kept for people; absent: it is not. */
  readonly heldUntil?: number;
}

/** A job's row. */
export interface Job {
  readonly id: JobId;
  readonly spec: JobSpec;
  readonly state: JobState;
  /** Number of the latest attempt; 0 before the first. */
  readonly attempt: number;
  /** Number of the latest attempt when a retry was last requested, else 0. */
  readonly retryBase: number;
  readonly reason?: EndReason;
  readonly message?: string;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly usage: Usage;
  readonly createdAt: number;
  /** A queued job is not started before this. */
  readonly notBefore: number;
  readonly startedAt?: number;
  readonly finishedAt?: number;
  /** The full id of the commit that the latest attempt checked out. */
  readonly commit?: string;
  /** Until when the place of the failed latest attempt is kept for people; absent: it is not. */
  readonly heldUntil?: number;
  /** Set while a cancel is under way. */
  readonly cancel?: CancelRequest;
  /** Grows with every change of any job; the id of the change in `/v1/events`. */
  readonly revision: number;
}

/** A request to cancel a job. */
export interface CancelRequest {
  readonly reason: "cancelled" | "superseded";
  /** For people: `by request`, or the id of the superseding job. */
  readonly by: string;
}

/** One attempt of a job, for the record. */
export interface Attempt {
  readonly jobId: JobId;
  /** Counts from 1. */
  readonly number: number;
  readonly state: JobState;
  readonly outcome?: AttemptOutcome;
  readonly startedAt?: number;
}
