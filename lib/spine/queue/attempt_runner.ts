/**
 * The port that runs attempts.
 *
 * @module
 */
import type { AttemptOutcome, Job } from "@lib/spine/jobs/model.ts";

/**
 * Runs attempts; the link to the agents.
 *
 * A further call of `run` for the same attempt joins it: the attempt starts at most once. `run` and
 * `stop` keep trying while the agent cannot be reached and reject only with the signal's reason.
 */
export interface AttemptRunner {
  run(job: Job, options: RunAttemptOptions): Promise<AttemptOutcome>;
  /** Resolves when the agent has accepted the request. */
  stop(job: Job, signal: AbortSignal): Promise<void>;
  /**
   * Gives up the latest attempt without the agent: it never starts, even if a request for it
   * arrives later. Returns `false` if it has begun.
   *
   * @throws If that cannot be written.
   */
  fence(job: Job): boolean;
  /**
   * Stops the latest attempt without the agent, for the reason in `job.cancel`. Resolves with its
   * outcome once no process of it is alive.
   *
   * @throws If that cannot be done now; it may be tried again.
   */
  kill(job: Job, signal: AbortSignal): Promise<AttemptOutcome>;
}

/** Options for {@linkcode AttemptRunner.run}. */
export interface RunAttemptOptions {
  /** Called when the agent reports that the attempt's processes are starting. */
  readonly onStarted: () => void;
  /** Called with the commit that the attempt has checked out, at every sign of life. */
  readonly onCommit: (commit: string) => void;
  /** Called with the reason why the agent does not answer now; `undefined` once it does again. */
  readonly onWaiting: (reason: string | undefined) => void;
  /** Called with what the agent does before or after the job; `undefined`: nothing. */
  readonly onDoing: (doing: string | undefined) => void;
  /**
   * Called when the agent has answered that it cannot start the attempt, which has not begun. It is
   * over if this returns its outcome, and is tried again otherwise.
   */
  readonly onRefused: () => AttemptOutcome | undefined;
  readonly signal: AbortSignal;
}

/** How an attempt ends whose job never started. */
export type Verdict = Pick<AttemptOutcome, "state" | "reason" | "message">;

/** Returns the outcome of an attempt whose job never started. */
export function neverBegun(why: Verdict, finishedAt: number): AttemptOutcome {
  return { ...why, usage: {}, finishedAt, logBytes: 0 };
}
