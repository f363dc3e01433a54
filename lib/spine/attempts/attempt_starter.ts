/**
 * Brings one attempt from its prepared directory to a running job, and does what
 * is to be done after the job.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { AttemptDirectory, AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle, Executor } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";
import { type JobSpec, setupSecretNames } from "@lib/spine/spec/job_spec.ts";
import type { AttemptStep } from "@lib/spine/jobs/step.ts";
import {
  setUp,
  type SetupLog,
  SetupStopped,
  tearDown,
  type Verdict,
} from "@lib/spine/attempts/attempt_steps.ts";

/** Options for {@linkcode AttemptStarter}. */
export interface StarterOptions {
  readonly executor: Executor;
  /** What is done around jobs that ask for it, in the order before the job. */
  readonly steps: readonly AttemptStep[];
  /** For everything before a job, and again for each step after it. */
  readonly setupTimeoutMs: () => number;
  readonly openSetupLog: (
    directory: AttemptDirectory,
    secrets: ReadonlyMap<string, string>,
  ) => SetupLog;
  /** The job's environment, secrets apart. */
  readonly environmentOf: (
    ref: AttemptRef,
    spec: JobSpec,
    workspace: string,
  ) => Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Values by name. */
export type Secrets = Readonly<Record<string, string>>;

/** Starts attempts, each at most once at a time. */
export class AttemptStarter {
  readonly #options: StarterOptions;

  constructor(options: StarterOptions) {
    this.#options = options;
  }

  /** Whether something has to be done before the job begins, which may take minutes. */
  needsSetup(spec: JobSpec): boolean {
    return this.#steps(spec).some(({ before }) => before !== undefined);
  }

  /** Begins to set an attempt up, and starts its job then. */
  setUp(handle: AttemptHandle, secrets: Secrets, signal: AbortSignal): Setup {
    const stop = new AbortController();
    const over = Promise.withResolvers<boolean>();
    return {
      over: over.promise,
      stop: (why) => stop.abort(new SetupStopped(why)),
      run: () => this.#run({ handle, secrets, stop: stop.signal, over }, signal),
    };
  }

  /** @returns The verdict if the executor could not begin the attempt. */
  async start(
    { ref, spec, directory }: AttemptHandle,
    secrets: Secrets,
    signal: AbortSignal,
    setupEnv: Readonly<Record<string, string>> = {},
  ): Promise<AttemptOutcome | undefined> {
    const { executor, environmentOf } = this.#options;
    const withheld = setupSecretNames(spec);
    try {
      await executor.start({
        ref,
        spec,
        env: { ...setupEnv, ...environmentOf(ref, spec, directory.workspace) },
        secrets: new Map(Object.entries(secrets).filter(([name]) => !withheld.has(name))),
        directory,
      }, signal);
      return undefined;
    } catch (error) {
      if (!(error instanceof CicdError) || error.code !== "executor_failed") throw error;
      const { message } = error;
      return this.neverBegun({ state: "failed", reason: "start_failed", message });
    }
  }

  /** Does what is to be done after the job; how it ended stays as it is. */
  async finish(
    handle: AttemptHandle,
    outcome: AttemptOutcome,
    signal: AbortSignal,
  ): Promise<AttemptOutcome> {
    const notes = await tearDown(handle, outcome, this.#stepOptions(handle.spec), signal);
    return { ...outcome, message: withNotes(outcome.message, notes) };
  }

  /** The outcome of an attempt whose job never began. */
  neverBegun(verdict: Verdict): AttemptOutcome {
    return { ...verdict, usage: {}, finishedAt: this.#options.clock.now(), logBytes: 0 };
  }

  async #run(
    { handle, secrets, stop, over }: SetupRun,
    signal: AbortSignal,
  ): Promise<AttemptOutcome | undefined> {
    let begun = true;
    try {
      const all = new Map(Object.entries(secrets));
      using setupLog = this.#options.openSetupLog(handle.directory, all);
      const options = this.#stepOptions(handle.spec);
      const end = await setUp(handle, all, setupLog, options, AbortSignal.any([signal, stop]));
      setupLog.done();
      if (end.kind === "failed") {
        begun = false;
        return this.neverBegun(end.verdict);
      }
      return await this.start(handle, secrets, signal, end.env);
    } finally {
      over.resolve(begun);
    }
  }

  #steps(spec: JobSpec): readonly AttemptStep[] {
    return this.#options.steps.filter((step) => step.needed(spec));
  }

  #stepOptions(spec: JobSpec) {
    const { setupTimeoutMs, log } = this.#options;
    return { steps: this.#steps(spec), timeoutMs: setupTimeoutMs(), log };
  }
}

/** The setup of one attempt, under way. */
export interface Setup {
  /** Resolves when it is over: whether the job is on its way, or may be. */
  readonly over: Promise<boolean>;
  /** Ends it; what it has done so far is of no use any more. */
  stop(why: CancelRequest): void;
  /** @returns The outcome if the job never began. */
  run(): Promise<AttemptOutcome | undefined>;
}

interface SetupRun {
  readonly handle: AttemptHandle;
  readonly secrets: Secrets;
  readonly stop: AbortSignal;
  readonly over: PromiseWithResolvers<boolean>;
}

/** What went wrong after the job stands behind how the job ended. */
function withNotes(message: string, notes: readonly string[]): string {
  const text = [message, ...notes].join("; ");
  return text.length > MESSAGE_MAX_CHARS ? `${text.slice(0, MESSAGE_MAX_CHARS)}…` : text;
}

const MESSAGE_MAX_CHARS = 2_000;
