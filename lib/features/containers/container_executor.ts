/**
 * Runs each attempt in a container of its own.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { ignore, messageOf } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { isEngineAway } from "@lib/foundations/docker/engine_error.ts";
import type { EngineSource } from "@lib/foundations/docker/engine_source.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import type {
  AttemptFound,
  AttemptHandle,
  AttemptRequest,
  Executor,
  ProjectUse,
  StopRequest,
} from "@lib/spine/jobs/executor.ts";
import type { ContainerRules } from "@lib/spine/spec/container_policy.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { monitorContainer, wasStarted } from "@lib/features/containers/container_monitor.ts";
import {
  containerNameOf,
  fenceIfMade,
  startContainer,
} from "@lib/features/containers/container_start.ts";
import { checkDirectory, settleDirectory, wasBegun } from "@lib/spine/executors/evidence.ts";
import { requestStop } from "@lib/spine/executors/directory_files.ts";

/** Options for {@linkcode ContainerExecutor}. */
export interface ContainerExecutorOptions {
  /** The connection to the engine; belongs to whoever made it. */
  readonly engines: Pick<EngineSource, "engine" | "forget">;
  readonly stateDir: string;
  /** What containers of the project may be, and the tasks of one whose job names no limit. */
  readonly rules: () => ContainerRules & { readonly tasks: number };
  readonly account: { readonly uid: number; readonly gid: number };
  readonly clock: Clock;
  readonly log: Logger;
}

/** Away for longer than this is unhealthy; a restart of the engine takes less. */
const UNHEALTHY_AFTER_MS = 5_000;
const RETRY = { firstMs: 100, maxMs: 5_000 } as const;
/** After so many failures that are not the engine's absence a log is given up, not the job. */
const LOG_TRIES = 5;

interface Kept {
  readonly outcome: Promise<AttemptOutcome>;
  stopAsked: PromiseWithResolvers<void>;
}

/**
 * The executor for jobs with a container.
 *
 * At most once: the engine refuses a second container of the same name, and one is only started
 * that was never started. The log files are made right before; so with a log and without a
 * container the attempt was begun and is lost.
 */
export class ContainerExecutor implements Executor {
  readonly kind = "container";
  readonly #options: ContainerExecutorOptions;
  readonly #tasks: TaskGroup;
  readonly #starting = new Map<string, Promise<"started" | "exists">>();
  readonly #kept = new Map<string, Kept>();
  /** No small first process can be had from this engine. */
  #noInit = false;
  #down: { readonly since: number; readonly why: string } | undefined;

  constructor(options: ContainerExecutorOptions) {
    this.#options = options;
    // The tasks here handle their own failures.
    this.#tasks = new TaskGroup({
      onFailure: (task, error) => options.log.error("A background task failed", { task, error }),
    });
  }

  async start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    signal.throwIfAborted();
    const key = keyOf(request);
    const other = this.#starting.get(key);
    if (other !== undefined) {
      await raceAbort(other, signal);
      return "exists";
    }
    const starting = this.#start(request, signal);
    this.#starting.set(key, starting);
    void starting.catch(ignore("the caller is told")).finally(() => this.#starting.delete(key));
    return await starting;
  }

  async look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound> {
    signal.throwIfAborted();
    if (this.#kept.has(keyOf(attempt))) return { kind: "alive" };
    // Without a log it was never started; with a record it is over.
    if (existsSync(attempt.directory.resultFile)) {
      this.#tasks.spawn(`tidy ${keyOf(attempt)}`, (tidying) => this.#tidy(attempt, tidying));
    } else if (wasBegun(attempt)) {
      const found = await this.#findContainer(attempt, signal);
      if (found !== "none") return { kind: found };
    }
    return await checkDirectory(attempt, this.#evidenceOptions());
  }

  async ended(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptOutcome> {
    signal.throwIfAborted();
    return await raceAbort(this.#keep(attempt).outcome, signal);
  }

  stop(attempt: AttemptHandle, why: StopRequest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (requestStop(attempt.directory, why)) this.#keep(attempt).stopAsked.resolve();
    return Promise.resolve();
  }

  describeProject(): Promise<ProjectUse> {
    return Promise.resolve({ limits: {}, usage: {} });
  }

  unhealthyReason(): string | undefined {
    if (this.#down === undefined) return undefined;
    const awayMs = this.#options.clock.now() - this.#down.since;
    if (awayMs < UNHEALTHY_AFTER_MS) return undefined;
    return `The container engine has been away for ${
      Math.round(awayMs / 1_000)
    } s: ${this.#down.why}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
  }

  async #start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    const { stateDir, rules, account, clock } = this.#options;
    const engine = await this.#engine(signal);
    try {
      const started = await startContainer(engine, request, {
        stateDir,
        rules: rules(),
        account,
        withoutInit: this.#noInit,
        onNoInit: () => {
          this.#noInit = true;
        },
        clock,
        signal,
      });
      this.#down = undefined;
      // The output is copied from the first byte on, whoever waits for the end.
      if (started === "started") this.#keep(request);
      return started;
    } catch (error) {
      if (isEngineAway(error)) this.#markDown(error);
      throw error;
    }
  }

  /** Removes the container of an attempt whose agent died between the record and the removal. */
  async #tidy(attempt: AttemptHandle, signal: AbortSignal): Promise<void> {
    try {
      const engine = await this.#engine(signal);
      await engine.removeContainer(containerNameOf(attempt), signal);
    } catch (error) {
      signal.throwIfAborted();
      const { jobId, number } = attempt.ref;
      this.#options.log.warning("Cannot remove a container", { jobId, attempt: number, error });
    }
  }

  /** What is at the engine of an attempt that has a log and no record. */
  async #findContainer(
    attempt: AttemptHandle,
    signal: AbortSignal,
  ): Promise<"alive" | "never_begun" | "none"> {
    try {
      const engine = await this.#engine(signal);
      const info = await fenceIfMade(engine, attempt, signal);
      if (info === undefined) return "none";
      return wasStarted(info) ? "alive" : "never_begun";
    } catch (error) {
      signal.throwIfAborted();
      if (!isEngineAway(error)) throw error;
      this.#markDown(error);
      // While the engine is away nobody knows; `ended` waits until it is back.
      return "alive";
    }
  }

  /** Stays with an attempt, once however many wait for it. */
  #keep(attempt: AttemptHandle): Kept {
    const key = keyOf(attempt);
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const outcome = Promise.withResolvers<AttemptOutcome>();
    void outcome.promise.catch(ignore("whoever waits is told"));
    const kept: Kept = { outcome: outcome.promise, stopAsked: Promise.withResolvers() };
    this.#kept.set(key, kept);
    this.#tasks.spawn(`container ${key}`, async (signal) => {
      try {
        await this.#keepTrying(attempt, kept, signal);
        outcome.resolve(await settleDirectory(attempt, this.#evidenceOptions()));
      } catch (error) {
        outcome.reject(error);
        if (!signal.aborted) throw error;
      } finally {
        this.#kept.delete(key);
      }
    });
    // The group takes no tasks any more once it was disposed.
    if (this.#tasks.signal.aborted) {
      this.#kept.delete(key);
      outcome.reject(this.#tasks.signal.reason);
    }
    return kept;
  }

  async #keepTrying(attempt: AttemptHandle, kept: Kept, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    const backoff = new Backoff(RETRY);
    for (let failures = 0;;) {
      try {
        const engine = await this.#engine(signal);
        return await monitorContainer(engine, attempt, {
          container: containerNameOf(attempt),
          withoutLog: failures >= LOG_TRIES,
          stopAsked: () => askedOnce(kept),
          clock,
          log,
          signal,
        });
      } catch (error) {
        signal.throwIfAborted();
        if (isEngineAway(error)) this.#markDown(error);
        else {
          failures++;
          const { jobId, number } = attempt.ref;
          log.warning("Cannot follow a container; trying again", { jobId, attempt: number, error });
        }
        await clock.sleep(backoff.next(), { signal });
      }
    }
  }

  async #engine(signal: AbortSignal): Promise<Engine> {
    signal.throwIfAborted();
    try {
      return await raceAbort(this.#options.engines.engine(), signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#markDown(error);
      throw error;
    }
  }

  #markDown(error: unknown): void {
    const { engines, clock } = this.#options;
    engines.forget();
    this.#down = { since: this.#down?.since ?? clock.now(), why: messageOf(error) };
  }

  #evidenceOptions() {
    return { monitor: "the container engine", now: this.#options.clock.now() };
  }
}

/** Resolves at the next request for a stop. */
async function askedOnce(kept: Kept): Promise<void> {
  const asked = kept.stopAsked;
  await asked.promise;
  if (kept.stopAsked === asked) kept.stopAsked = Promise.withResolvers();
}

function keyOf({ ref }: AttemptHandle): string {
  return `${ref.jobId}/${ref.number}`;
}
