/**
 * The port for steps around a job: checkout and image before it, artifacts and caches after it.
 *
 * @module
 */
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome, EndReason } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";

/** An attempt before its job. The workspace exists; before the first step it is empty. */
export interface SetupContext extends AttemptHandle {
  /** Every secret of the job by name, including those that never reach the job. */
  readonly secrets: ReadonlyMap<string, string>;
  /**
   * Appends a line to the job's log, before the job's own output. Secrets are masked for readers;
   * still, write nothing secret.
   */
  readonly say: (line: string) => void;
  /** Adds a variable to the job's environment; a variable that the job sets wins. */
  readonly setEnv: (name: string, value: string) => void;
  /** Records the full id of the commit that the job runs on. */
  readonly setCommit: (sha: string) => void;
}

/** An attempt after its job. */
export interface FinishContext extends AttemptHandle {
  /** Masks the job's secrets in a text that is kept. */
  readonly mask: (text: string) => string;
}

/**
 * A step around a job, for specs that need it.
 *
 * - `before` may be called again for the same attempt after a crash, with anything the first
 *   call left in the workspace; it ends in the same state. The steps run one after the other in a
 *   fixed order: checkout, files, caches, image, owner.
 * - It rejects with {@linkcode StepFailure} if the job cannot start for a reason that its owner can
 *   fix, and the attempt ends with this reason. Any other error ends it as `start_failed`.
 * - `after` runs once no process of the job is alive, in the reverse order, also after a failure
 *   and after a restart of the agent, and may be called again for the same attempt. It never
 *   changes how the job ended: it returns problems as sentences for the outcome's message.
 * - Both reject with `signal.reason` when `signal` aborts, and leave no process behind.
 */
export interface AttemptStep {
  /** For the log: `checkout`. */
  readonly name: string;
  /** The work in words: `checking out the repository`. @default The name. */
  readonly doing?: string;
  /** Returns true if the spec needs the step; a step that is not needed costs nothing. */
  needed(spec: JobSpec): boolean;
  before?(context: SetupContext, signal: AbortSignal): Promise<void>;
  after?(
    context: FinishContext,
    outcome: AttemptOutcome,
    signal: AbortSignal,
  ): Promise<readonly string[]>;
}

/** The reason why a job could not start, worded for its owner; holds no secret. */
export class StepFailure extends Error {
  readonly reason: EndReason;

  constructor(reason: EndReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StepFailure";
    this.reason = reason;
  }
}

/** Makes a step whose code is loaded by the first job that needs it. */
export function lazyStep(
  { name, doing, needed, does, load }: Pick<AttemptStep, "name" | "needed"> & {
    readonly doing: string;
    readonly does: "before" | "after" | "both";
    readonly load: () => Promise<AttemptStep>;
  },
): AttemptStep {
  const before: AttemptStep["before"] = async (context, signal) => {
    await (await load()).before?.(context, signal);
  };
  const after: AttemptStep["after"] = async (context, outcome, signal) =>
    await (await load()).after?.(context, outcome, signal) ?? [];
  return {
    name,
    doing,
    needed,
    ...(does === "after" ? {} : { before }),
    ...(does === "before" ? {} : { after }),
  };
}
