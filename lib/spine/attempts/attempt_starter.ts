/**
 * Takes one attempt from its prepared directory to a running job, and runs the steps after the job.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { toCicdError } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import { leadsToSomething } from "@lib/foundations/files/records.ts";
import type { AttemptDirectory, AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle, Executor } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";
import { type JobSpec, setupSecretNames } from "@lib/spine/spec/job_spec.ts";
import type { AttemptStep } from "@lib/spine/jobs/step.ts";
import {
  setUp,
  type SetupEnd,
  type SetupLog,
  SetupStopped,
  tearDown,
  type Verdict,
} from "@lib/spine/attempts/attempt_steps.ts";

/** Options for {@linkcode AttemptStarter}. */
export interface StarterOptions {
  readonly executor: Executor;
  /** The steps around jobs that need them, in the order before the job. */
  readonly steps: readonly AttemptStep[];
  /** The limit for all steps before a job, and for each step after it. */
  readonly setupTimeoutMs: () => number;
  readonly openSetupLog: (directory: AttemptDirectory, mask: Mask) => SetupLog;
  /** Makes the mask of an attempt's secrets. */
  readonly maskOf: (secrets: ReadonlyMap<string, string>) => Promise<Mask>;
  /** Returns the secrets that an earlier agent sealed for an attempt. */
  readonly sealedSecrets: (directory: AttemptDirectory, ref: AttemptRef) => Secrets;
  /** Returns the job's environment without secrets. */
  readonly environmentOf: (attempt: AttemptHandle) => Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Values by name. */
export type Secrets = Readonly<Record<string, string>>;

/** Masks secrets in a text. */
type Mask = (text: string) => string;

/** Starts attempts, each at most once at a time. */
export class AttemptStarter {
  readonly #options: StarterOptions;
  readonly #secrets = new WeakMap<AttemptHandle, Secrets>();
  readonly #masks = new WeakMap<AttemptHandle, Promise<Mask>>();
  /** The steps under way, by directory of the attempt. */
  readonly #doing = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  constructor(options: StarterOptions) {
    this.#options = options;
  }

  /** Returns what an attempt does before or after its job now; `undefined`: nothing. */
  doing({ path }: AttemptDirectory): string | undefined {
    return this.#doing.get(path);
  }

  /** Calls back whenever an attempt goes on to another step. */
  onProgress(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Returns true if steps run before the job, which may take minutes. */
  needsSetup(spec: JobSpec): boolean {
    return this.#steps(spec).some(({ before }) => before !== undefined);
  }

  /** Makes the setup of an attempt, which then starts its job. */
  setUp(handle: AttemptHandle, secrets: Secrets, signal: AbortSignal): Setup {
    this.#secrets.set(handle, secrets);
    const stop = new AbortController();
    const over = Promise.withResolvers<boolean>();
    const run = async () => {
      let started = false;
      try {
        const either = AbortSignal.any([signal, stop.signal]);
        const end = await this.#runSetup(handle, secrets, either);
        if (end.kind === "failed") return this.neverBegun(end.verdict);
        started = true;
        return await this.start(handle, secrets, signal, end.env);
      } catch (error) {
        // Its end is known only to the next agent.
        started ||= signal.aborted;
        if (started) throw error;
        return this.startFailed(handle, error);
      } finally {
        over.resolve(started);
      }
    };
    return { over: over.promise, stop: (why) => stop.abort(new SetupStopped(why)), run };
  }

  /**
   * Starts the job.
   *
   * @returns The outcome if the attempt could not be started, for whatever reason.
   * @throws What may pass and leaves it unknown if the job started, such as a bus that is away.
   */
  async start(
    handle: AttemptHandle,
    secrets: Secrets,
    signal: AbortSignal,
    setupEnv: Readonly<Record<string, string>> = {},
  ): Promise<AttemptOutcome | undefined> {
    this.#secrets.set(handle, secrets);
    const { ref, spec, directory } = handle;
    const { executor, environmentOf } = this.#options;
    if (leadsToSomething(directory.fenceFile)) return this.fenced();
    const withheld = setupSecretNames(spec);
    try {
      await executor.start({
        ref,
        spec,
        env: { ...setupEnv, ...environmentOf(handle) },
        secrets: new Map(Object.entries(secrets).filter(([name]) => !withheld.has(name))),
        directory,
      }, signal);
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      const failed = this.startFailed(handle, error);
      // Only the executor's own refusal says that nothing started.
      if (toCicdError(error).code === "executor_failed") return failed;
      const found = await executor.look(handle, signal);
      return found.kind === "never_begun" ? failed : undefined;
    }
  }

  /**
   * Returns the outcome of an attempt on whose way to a start something was thrown.
   *
   * @throws The error, if it may pass: the runner then asks again.
   */
  startFailed({ ref }: AttemptHandle, error: unknown): AttemptOutcome {
    const { code, message, entry } = toCicdError(error);
    if (entry.retryable && code !== "executor_failed") throw error;
    if (code === "internal") {
      this.#options.log.error("Cannot start an attempt", { jobId: ref.jobId, error });
    }
    return this.neverBegun({ state: "failed", reason: "start_failed", message });
  }

  /** Returns an outcome with the secrets in its message masked. */
  async masked(
    handle: AttemptHandle,
    outcome: AttemptOutcome,
    notes: readonly string[] = [],
  ): Promise<AttemptOutcome> {
    const mask = await this.#maskOf(handle);
    return { ...outcome, message: cut([outcome.message, ...notes].map(mask).join("; ")) };
  }

  /** Runs the steps after the job and adds their problems to the message of its outcome. */
  async finish(
    handle: AttemptHandle,
    outcome: AttemptOutcome,
    signal: AbortSignal,
  ): Promise<AttemptOutcome> {
    const options = await this.#stepOptions(handle);
    return await this.masked(handle, outcome, await tearDown(handle, outcome, options, signal));
  }

  /** Returns the outcome of an attempt that the runner gave up. */
  fenced(): AttemptOutcome {
    const message = "The runner gave up the attempt before it started";
    return this.neverBegun({ state: "cancelled", reason: "cancelled", message });
  }

  /** Returns the outcome of an attempt whose job never started. */
  neverBegun(verdict: Verdict): AttemptOutcome {
    return { ...verdict, usage: {}, finishedAt: this.#options.clock.now(), logBytes: 0 };
  }

  async #runSetup(handle: AttemptHandle, secrets: Secrets, signal: AbortSignal): Promise<SetupEnd> {
    const options = await this.#stepOptions(handle);
    using setupLog = this.#options.openSetupLog(handle.directory, options.mask);
    const all = new Map(Object.entries(secrets));
    const end = await setUp(handle, all, setupLog, options, signal);
    setupLog.done();
    return end;
  }

  #steps(spec: JobSpec): readonly AttemptStep[] {
    return this.#options.steps.filter((step) => step.needed(spec));
  }

  async #stepOptions(handle: AttemptHandle) {
    const { setupTimeoutMs, log } = this.#options;
    const mask = await this.#maskOf(handle);
    const { path } = handle.directory;
    const onStep = (step: AttemptStep | undefined) => {
      if (step !== undefined) this.#doing.set(path, step.doing ?? step.name);
      else if (!this.#doing.delete(path)) return;
      for (const listener of this.#listeners) listener();
    };
    return { steps: this.#steps(handle.spec), timeoutMs: setupTimeoutMs(), onStep, log, mask };
  }

  /** Returns the mask of an attempt; an earlier agent's has its secrets in a sealed file. */
  #maskOf(handle: AttemptHandle): Promise<Mask> {
    let mask = this.#masks.get(handle);
    if (mask === undefined) this.#masks.set(handle, mask = this.#makeMask(handle));
    return mask;
  }

  async #makeMask(handle: AttemptHandle): Promise<Mask> {
    const { spec, directory, ref } = handle;
    const { maskOf, sealedSecrets } = this.#options;
    if (spec.secretNames.length === 0) return (text) => text;
    try {
      const secrets = this.#secrets.get(handle) ?? sealedSecrets(directory, ref);
      return await maskOf(new Map(Object.entries(secrets)));
    } catch (error) {
      // The runner masks what it stores; the log of the agent has no other protection.
      this.#options.log.warning("Cannot unseal the secrets of an attempt", {
        jobId: ref.jobId,
        error,
      });
      return (text) => text;
    }
  }
}

/** The setup of one attempt. */
export interface Setup {
  /** Resolves when it is over: `true` if the job is starting, or may be. */
  readonly over: Promise<boolean>;
  /** Ends it without starting the job. */
  stop(why: CancelRequest): void;
  /** @returns The outcome if the job never started. */
  run(): Promise<AttemptOutcome | undefined>;
}

/** Cuts a message to length, after it was masked. */
function cut(text: string): string {
  return text.length > MESSAGE_MAX_CHARS ? `${text.slice(0, MESSAGE_MAX_CHARS)}…` : text;
}

const MESSAGE_MAX_CHARS = 2_000;
