/**
 * The port for what is done around a job: the checkout and the image before
 * it, artifacts and caches after it.
 *
 * @module
 */
import type { AttemptDirectory, AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome, EndReason } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** What a step knows of its attempt. */
export interface StepContext {
  readonly ref: AttemptRef;
  readonly spec: JobSpec;
  /** The workspace is there; before the first step it is empty. */
  readonly directory: AttemptDirectory;
}

/** The same before the job, with what only the setup may use. */
export interface SetupContext extends StepContext {
  /** Every secret of the job by name, those that never reach the job included. */
  readonly secrets: ReadonlyMap<string, string>;
  /**
   * Appends a line to the job's log, before the job's own output. Readers see secrets masked;
   * still, nothing secret is to be written.
   */
  readonly say: (line: string) => void;
  /** Adds a variable to the job's environment; what the job itself sets wins. */
  readonly setEnv: (name: string, value: string) => void;
}

/**
 * Something done around a job, for specs that ask for it.
 *
 * Contract:
 *
 * - `before` may be called again for the same attempt after a crash, with whatever the first call
 *   left in the workspace; it ends in the same state. The steps run one after the other in a fixed
 *   order: checkout, files, caches, image.
 * - It rejects with {@linkcode StepFailure} if the job cannot begin for a reason that its owner can
 *   mend, and the attempt then ends with this reason. Any other error ends it as `start_failed`.
 * - `after` runs once nothing of the job lives, in the reverse order, also after a failure and after
 *   a restart of the agent, and may be called again for the same attempt. It never changes how the
 *   job ended: what went wrong is returned as sentences, which are added to the outcome's message.
 * - Both reject with `signal.reason` when `signal` aborts, and leave no process behind.
 */
export interface AttemptStep {
  /** For the log: `checkout`. */
  readonly name: string;
  /** Whether the spec asks for it; a step that is not needed costs nothing. */
  needed(spec: JobSpec): boolean;
  before?(context: SetupContext, signal: AbortSignal): Promise<void>;
  after?(
    context: StepContext,
    outcome: AttemptOutcome,
    signal: AbortSignal,
  ): Promise<readonly string[]>;
}

/** Why a job could not begin, in words for its owner; holds no secret. */
export class StepFailure extends Error {
  readonly reason: EndReason;

  constructor(reason: EndReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StepFailure";
    this.reason = reason;
  }
}

/** A step whose code is loaded by the first job that asks for it. */
export interface LazyStep {
  readonly name: string;
  readonly needed: (spec: JobSpec) => boolean;
  readonly does: "before" | "after" | "both";
  readonly load: () => Promise<AttemptStep>;
}

/** Makes a step of one that is not loaded yet. */
export function lazyStep({ name, needed, does, load }: LazyStep): AttemptStep {
  const before: AttemptStep["before"] = async (context, signal) => {
    await (await load()).before?.(context, signal);
  };
  const after: AttemptStep["after"] = async (context, outcome, signal) =>
    await (await load()).after?.(context, outcome, signal) ?? [];
  return {
    name,
    needed,
    ...(does === "after" ? {} : { before }),
    ...(does === "before" ? {} : { after }),
  };
}
