/**
 * Runs the steps around a job: those before it in their order, those after it in reverse order.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { messageOf, toCicdError } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import { writeAtomicSync } from "@lib/foundations/files/records.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";
import { type AttemptStep, StepFailure } from "@lib/spine/jobs/step.ts";

/** The log of the setup of a job; see `lib/spine/logs/setup_log.ts`. */
export interface SetupLog extends Disposable {
  say(line: string): void;
  done(): void;
}

/** The steps of an attempt and how to run them. */
export interface StepOptions {
  readonly steps: readonly AttemptStep[];
  readonly timeoutMs: number;
  /** Called before each step, and with `undefined` after the last one. */
  readonly onStep: (step: AttemptStep | undefined) => void;
  readonly log: Logger;
  /** Masks the attempt's secrets. */
  readonly mask: (text: string) => string;
}

/** The result of a setup: the job is ready to start, or the attempt has ended. */
export type SetupEnd =
  | { readonly kind: "ready"; readonly env: Readonly<Record<string, string>> }
  | { readonly kind: "failed"; readonly verdict: Verdict };

/** The end of an attempt that never started. */
export type Verdict = Pick<AttemptOutcome, "state" | "reason" | "message">;

/** The reason with which a stop request aborts the signal of a setup. */
export class SetupStopped extends Error {
  readonly why: CancelRequest;

  constructor(why: CancelRequest) {
    super("The setup was stopped");
    this.why = why;
  }
}

/**
 * Runs the steps before the job.
 *
 * @throws The signal's reason, unless that is a {@linkcode SetupStopped}: the attempt is not over,
 * and the next agent repeats the setup.
 */
export async function setUp(
  handle: AttemptHandle,
  secrets: ReadonlyMap<string, string>,
  setupLog: SetupLog,
  { steps, timeoutMs, onStep, log, mask }: StepOptions,
  signal: AbortSignal,
): Promise<SetupEnd> {
  using _step = { [Symbol.dispose]: () => onStep(undefined) };
  using deadline = withDeadline(signal, timeoutMs, "the setup");
  const env: Record<string, string> = {};
  const context = {
    ...handle,
    secrets,
    say: (line: string) => setupLog.say(line),
    setEnv: (name: string, value: string) => {
      env[name] = value;
    },
    setCommit: (sha: string) => writeAtomicSync(handle.directory.commitFile, sha),
  };
  for (const step of steps) {
    if (step.before === undefined) continue;
    onStep(step);
    try {
      await step.before(context, deadline);
      deadline.throwIfAborted();
    } catch (error) {
      const { reason } = signal;
      if (reason instanceof SetupStopped) return failed(stopVerdict(reason.why));
      if (signal.aborted) throw reason;
      const verdict = deadline.aborted ? timeoutVerdict(timeoutMs, step) : failureVerdict(error);
      if (verdict.reason === "start_failed") {
        const fields = { jobId: handle.ref.jobId, step: step.name };
        log.error("Cannot set up an attempt", { ...fields, error: maskedError(error, mask) });
      }
      setupLog.say(verdict.message);
      return failed(verdict);
    }
  }
  return { kind: "ready", env };
}

/** Runs the steps after the job; returns their problems as sentences. */
export async function tearDown(
  handle: AttemptHandle,
  outcome: AttemptOutcome,
  { steps, timeoutMs, onStep, log, mask }: StepOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  using _step = { [Symbol.dispose]: () => onStep(undefined) };
  const notes: string[] = [];
  for (const step of steps.toReversed()) {
    if (step.after === undefined) continue;
    using deadline = withDeadline(signal, timeoutMs, step.name);
    onStep(step);
    try {
      notes.push(...await step.after({ ...handle, mask }, outcome, deadline));
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const fields = { jobId: handle.ref.jobId, step: step.name };
      log.error("Cannot finish an attempt", { ...fields, error: maskedError(error, mask) });
      notes.push(`${step.name} failed: ${messageOf(error)}`);
    }
  }
  return notes;
}

/** Returns an error for the log of the agent, with the secrets masked in all its texts. */
function maskedError(error: unknown, mask: StepOptions["mask"]): Error {
  if (!(error instanceof Error)) return new Error(mask(String(error)));
  const { name, message, stack, cause } = error;
  const masked = new Error(
    mask(message),
    cause === undefined ? {} : {
      cause: maskedError(cause, mask),
    },
  );
  masked.name = name === "CicdError" || name === "StepFailure" ? "Error" : name;
  masked.stack = mask(stack ?? "");
  return masked;
}

function failed(verdict: Verdict): SetupEnd {
  return { kind: "failed", verdict };
}

function stopVerdict({ reason, by }: CancelRequest): Verdict {
  const what = reason === "superseded" ? "Superseded by" : "Cancelled";
  return { state: "cancelled", reason, message: `${what} ${by} before it began` };
}

function timeoutVerdict(timeoutMs: number, { name }: AttemptStep): Verdict {
  const limit = formatDuration(timeoutMs);
  return {
    state: "timed_out",
    reason: "timeout",
    message: `The setup took longer than ${limit} (defaults.setup_timeout), in the ${name} step`,
  };
}

function failureVerdict(error: unknown): Verdict {
  if (error instanceof StepFailure) {
    return { state: "failed", reason: error.reason, message: error.message };
  }
  return { state: "failed", reason: "start_failed", message: toCicdError(error).message };
}
