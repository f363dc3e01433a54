/**
 * The life of a job as a pure function.
 *
 * ```
 * queued → starting → running → succeeded | failed | cancelled | timed_out | lost
 *    ↑________|__________|  (retry policy)         |
 *    ↑_____________________________________________|  (retry on request)
 * ```
 *
 * Every event about an attempt carries the attempt's number: an event of an attempt that is not the
 * latest is refused, so a late owner can change nothing.
 *
 * @module
 */
import type { ErrorCode } from "@lib/core/error_codes.ts";
import { assertNever } from "@lib/core/errors.ts";
import {
  type AttemptOutcome,
  type CancelRequest,
  isTerminal,
  type Job,
} from "@lib/spine/jobs/model.ts";
import type { RetryCause } from "@lib/spine/spec/job_spec.ts";

/** A queued job is taken, in this boot of the machine. */
export interface ClaimEvent {
  readonly kind: "claimed";
  readonly bootId: string;
}

/** An event in the life of a job. */
export type JobEvent =
  /** The scheduler takes the job; the next attempt begins. */
  | ClaimEvent
  /** The attempt's processes are starting. */
  | { readonly kind: "started"; readonly attempt: number; readonly at: number }
  /** The attempt has checked out its repository. */
  | { readonly kind: "checked_out"; readonly attempt: number; readonly commit: string }
  /** The attempt is over and no process of it is alive. */
  | { readonly kind: "ended"; readonly attempt: number; readonly outcome: AttemptOutcome }
  /** The place of the attempt is no longer kept. */
  | { readonly kind: "released"; readonly attempt: number }
  | { readonly kind: "cancel_requested"; readonly cancel: CancelRequest; readonly at: number }
  | { readonly kind: "retry_requested"; readonly at: number };

/** The effect of an event on a job. */
export type Transition =
  | { readonly kind: "changed"; readonly job: Job }
  /** The job already is as the event asks. */
  | { readonly kind: "unchanged" }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string };

/** Applies one event; `revision` is left for the store to set. */
export function transition(job: Job, event: JobEvent): Transition {
  switch (event.kind) {
    case "claimed":
      return claimed(job);
    case "started":
      return refuseStale(job, event.attempt) ?? started(job, event.at);
    case "checked_out":
      return refuseStale(job, event.attempt) ?? checkedOut(job, event.commit);
    case "ended":
      return refuseStale(job, event.attempt) ?? ended(job, event.outcome);
    case "released":
      return refuseStale(job, event.attempt) ?? released(job);
    case "cancel_requested":
      return cancelRequested(job, event.cancel, event.at);
    case "retry_requested":
      return retryRequested(job, event.at);
    default:
      return assertNever(event);
  }
}

function claimed(job: Job): Transition {
  if (job.state !== "queued") return conflict(job, "start", "only a queued job can be started");
  return changed({ ...withoutEnd(job), state: "starting", attempt: job.attempt + 1 });
}

function started(job: Job, at: number): Transition {
  if (job.state === "running") return { kind: "unchanged" };
  if (job.state !== "starting") return conflict(job, "mark as running", "it is not starting");
  return changed({ ...job, state: "running", startedAt: at });
}

function checkedOut(job: Job, commit: string): Transition {
  if (isTerminal(job.state) || job.commit === commit) return { kind: "unchanged" };
  if (job.state === "queued") return conflict(job, "set the commit of", "it has not been started");
  return changed({ ...job, commit });
}

function ended(job: Job, outcome: AttemptOutcome): Transition {
  if (isTerminal(job.state)) return { kind: "unchanged" };
  if (job.state === "queued") return conflict(job, "settle", "it has not been started");
  const { cancel: _over, ...rest } = job;
  const startedAt = outcome.startedAt ?? job.startedAt;
  const settled: Job = {
    ...rest,
    state: outcome.state,
    reason: outcome.reason,
    message: outcome.message,
    usage: outcome.usage,
    finishedAt: outcome.finishedAt,
    ...(outcome.exitCode === undefined ? {} : { exitCode: outcome.exitCode }),
    ...(outcome.signal === undefined ? {} : { signal: outcome.signal }),
    ...(outcome.heldUntil === undefined ? {} : { heldUntil: outcome.heldUntil }),
    ...(outcome.commit === undefined ? {} : { commit: outcome.commit }),
    // The runner may learn that a short attempt began after that has ended.
    ...(startedAt === undefined ? {} : { startedAt: Math.min(startedAt, outcome.finishedAt) }),
  };
  const delayMs = job.cancel === undefined ? retryDelay(job, outcome) : undefined;
  if (delayMs === undefined) return changed(settled);
  return changed({
    ...withoutEnd(settled),
    reason: outcome.reason,
    message: `Attempt ${job.attempt} ended: ${outcome.message}`,
    state: "queued",
    notBefore: outcome.finishedAt + delayMs,
  });
}

/** The longest delay between two attempts. */
const MAX_RETRY_DELAY_MS = 3_600_000;

/** Returns the delay before the next attempt; `undefined` if the policy allows none. */
export function retryDelay(job: Job, outcome: AttemptOutcome): number | undefined {
  const { max, on, delayMs } = job.spec.retries;
  const tried = job.attempt - job.retryBase;
  if (tried > max || !retryCauses(outcome).some((cause) => on.includes(cause))) return undefined;
  return Math.min(delayMs * 2 ** (tried - 1), MAX_RETRY_DELAY_MS);
}

/** Returns the names of an outcome in a retry policy. */
export function retryCauses(outcome: AttemptOutcome): readonly RetryCause[] {
  switch (outcome.state) {
    case "failed":
      return outcome.reason === "oom_killed" ? ["failed", "oom_killed"] : ["failed"];
    case "timed_out":
      return ["timed_out"];
    case "lost":
      return ["lost"];
    case "succeeded":
    case "cancelled":
      return [];
    default:
      return assertNever(outcome.state);
  }
}

function released(job: Job): Transition {
  const { heldUntil, ...rest } = job;
  return heldUntil === undefined ? { kind: "unchanged" } : changed(rest);
}

function cancelRequested(job: Job, cancel: CancelRequest, at: number): Transition {
  if (job.state === "cancelled") return { kind: "unchanged" };
  if (isTerminal(job.state) && (job.heldUntil ?? 0) > at) return released(job);
  if (isTerminal(job.state)) return conflict(job, "cancel", "it has ended");
  if (job.cancel !== undefined) return { kind: "unchanged" };
  if (job.state !== "queued") return changed({ ...job, cancel });
  return changed({
    ...job,
    state: "cancelled",
    reason: cancel.reason,
    message: `Cancelled ${cancel.by} before ${
      job.attempt === 0 ? "the start" : "the next attempt"
    }`,
    finishedAt: at,
  });
}

function retryRequested(job: Job, at: number): Transition {
  if (!isTerminal(job.state)) return conflict(job, "retry", "it has not ended");
  return changed({
    ...withoutEnd(job),
    state: "queued",
    notBefore: at,
    retryBase: job.attempt,
  });
}

function withoutEnd(job: Job): Job {
  const {
    reason: _reason,
    message: _message,
    exitCode: _exitCode,
    signal: _signal,
    startedAt: _startedAt,
    finishedAt: _finishedAt,
    commit: _commit,
    cancel: _cancel,
    heldUntil: _heldUntil,
    ...rest
  } = job;
  return { ...rest, usage: {} };
}

function refuseStale(job: Job, attempt: number): Transition | undefined {
  if (attempt === job.attempt) return undefined;
  return {
    kind: "refused",
    code: "stale_attempt",
    message:
      `Cannot change job "${job.id}" for attempt ${attempt}: its latest attempt is ${job.attempt}`,
  };
}

function conflict(job: Job, verb: string, why: string): Transition {
  return {
    kind: "refused",
    code: "state_conflict",
    message: `Cannot ${verb} job "${job.id}": ${why} (state ${job.state})`,
  };
}

function changed(job: Job): Transition {
  return { kind: "changed", job };
}
