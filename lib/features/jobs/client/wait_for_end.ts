/**
 * Waiting for a job's end, across restarts of the runner.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { hasEnded, type JobAnswer } from "@lib/api/client/answers.ts";
import type { Reconnect } from "@lib/api/client/reconnect.ts";

/** Longest single question, in milliseconds. */
const POLL_MS = 60_000;

/** Options for {@linkcode waitForEnd}. */
export interface WaitOptions {
  /** Waits for the end, at most `timeoutMs`; answers with the job as it stands then. */
  readonly waitOnce: (timeoutMs: number) => Promise<JobAnswer>;
  readonly reconnect: Reconnect;
  readonly clock: Clock;
  /** When to stop waiting, in milliseconds since the epoch. @default {Infinity} */
  readonly until?: number;
}

/** Resolves with the ended job, or with the job as it stands when `until` has come. */
export async function waitForEnd(options: WaitOptions): Promise<JobAnswer> {
  const { waitOnce, reconnect, clock, until = Infinity } = options;
  while (true) {
    const timeoutMs = Math.max(0, Math.min(POLL_MS, until - clock.now()));
    const job = await reconnect.run(() => waitOnce(timeoutMs));
    if (hasEnded(job) || clock.now() >= until) return job;
  }
}
