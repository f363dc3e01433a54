/**
 * The executor of jobs with a container.
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
  HeldPlace,
  ProjectUse,
  StopRequest,
} from "@lib/spine/jobs/executor.ts";
import type { ContainerRules } from "@lib/spine/spec/container_policy.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { ContainerHolds } from "@lib/features/containers/container_hold.ts";
import { type OomKills, readOomKills } from "@lib/features/containers/container_oom.ts";
import { monitorContainer, wasStarted } from "@lib/features/containers/container_monitor.ts";
import {
  fenceIfMade,
  findContainer,
  startContainer,
} from "@lib/features/containers/container_start.ts";
import { checkDirectory, settleDirectory, wasBegun } from "@lib/spine/executors/evidence.ts";
import { requestStop } from "@lib/spine/executors/directory_files.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";

/** Options for {@linkcode ContainerExecutor}. */
export interface ContainerExecutorOptions {
  /** The connection to the engine; the caller disposes it. */
  readonly engines: Pick<EngineSource, "engine" | "forget">;
  readonly stateDir: string;
  /** Returns the project's rules for containers and the default limit of tasks. */
  readonly rules: () => ContainerRules & { readonly tasks: number };
  readonly account: { readonly uid: number; readonly gid: number };
  readonly clock: Clock;
  readonly log: Logger;
}

/** Time to tell of the end before the engine is busy with the removal. */
const REMOVE_AFTER_MS = 20;
/** Longest wait at the executor's end for the removal of containers. */
const LAST_REMOVAL_MS = 2_000;
const RETRY = { firstMs: 100, maxMs: 5_000 } as const;
/** Failures, other than an unreachable engine, after which the job goes on without its log. */
const LOG_TRIES = 5;

/** A start of a container. */
interface Begun {
  readonly container?: string | undefined;
  /** Out-of-memory kills before the start; absent after a restart, or without a limit. */
  readonly killsBefore?: OomKills | undefined;
}

interface Monitored {
  readonly outcome: Promise<AttemptOutcome>;
  stopRequested: PromiseWithResolvers<void>;
  /** The start, if it was by this process. */
  readonly begun: Begun;
  /** Why the engine cannot tell of it. */
  away: string | undefined;
}

/**
 * Runs each attempt in a container of its own.
 *
 * At most once: the engine refuses a second container of the same name, and only a container with
 * the attempt's labels that was never started is started. The log files are created right before, so
 * an attempt with a log and without a container was begun and is lost.
 */
export class ContainerExecutor implements Executor {
  readonly kind = "container";
  readonly #options: ContainerExecutorOptions;
  readonly #tasks: TaskGroup;
  /** Removals of containers whose attempt has ended. */
  readonly #removals: TaskGroup;
  readonly #holds: ContainerHolds;
  readonly #starting = new Map<string, Promise<"started" | "exists">>();
  readonly #monitored = new Map<string, Monitored>();
  /** Set once the engine turned out to have no init process. */
  #noInit = false;

  constructor(options: ContainerExecutorOptions) {
    this.#options = options;
    const engine = (signal: AbortSignal) => this.#engine(signal);
    this.#holds = new ContainerHolds({ ...options, engine });
    // The tasks here handle their own failures.
    const onFailure = (task: string, error: unknown) =>
      options.log.error("A background task failed", { task, error });
    this.#tasks = new TaskGroup({ onFailure });
    this.#removals = new TaskGroup({ onFailure });
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
    void starting.catch(ignore("the caller gets it")).finally(() => this.#starting.delete(key));
    return await starting;
  }

  async look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound> {
    signal.throwIfAborted();
    if (this.#monitored.has(keyOf(attempt))) return { kind: "alive" };
    // Without a log it was never started; with a record it has ended.
    if (existsSync(attempt.directory.resultFile)) this.#removeUnlessHeld(attempt);
    else if (wasBegun(attempt)) {
      const found = await this.#findContainer(attempt, signal);
      if (found !== "none") return { kind: found };
    }
    return await checkDirectory(attempt, this.#evidenceOptions());
  }

  async ended(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptOutcome> {
    signal.throwIfAborted();
    return await raceAbort(this.#monitor(attempt).outcome, signal);
  }

  stop(attempt: AttemptHandle, why: StopRequest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!existsSync(attempt.directory.resultFile)) {
      requestStop(attempt.directory, why);
      this.#monitor(attempt).stopRequested.resolve();
    }
    return Promise.resolve();
  }

  async hold(attempt: AttemptHandle, until: number, signal: AbortSignal): Promise<void> {
    await this.#holds.begin(attempt, until, signal);
  }

  notHeld(attempt: AttemptHandle): void {
    if (isHoldWanted(attempt)) this.#removeLater(attempt);
  }

  async holdGone(place: HeldPlace, signal: AbortSignal): Promise<void> {
    await this.#holds.gone(place, signal);
  }

  async endHold(place: HeldPlace, signal: AbortSignal): Promise<void> {
    await this.#holds.end(place, signal);
  }

  describeProject(): Promise<ProjectUse> {
    return Promise.resolve({ limits: {}, usage: {} });
  }

  awayReason(attempt: AttemptHandle): string | undefined {
    return this.#monitored.get(keyOf(attempt))?.away;
  }

  async removeForeign(path: string, signal: AbortSignal): Promise<void> {
    const { stateDir } = this.#options;
    if (!existsSync(`${stateDir}/images`)) return;
    const { removeForeign } = await import("@lib/features/containers/remove_foreign.ts");
    await removeForeign(await this.#engine(signal), path, { stateDir, signal });
  }

  get tidying(): boolean {
    return this.#removals.names.length > 0;
  }

  unhealthyReason(): string | undefined {
    // The engine is no part of the agent: a restart of the agent would not help.
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
    // The next agent would do it too, but may not come for long.
    if (this.tidying) {
      const { clock } = this.#options;
      const { signal } = this.#removals;
      await sleepUnless(this.#removals.ended(), { ms: LAST_REMOVAL_MS, clock, signal });
    }
    await this.#removals[Symbol.asyncDispose]();
  }

  async #start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    const { stateDir, rules, account, clock } = this.#options;
    const engine = await this.#engine(signal);
    const { memoryBytes } = request.spec.limits;
    const killsBefore = memoryBytes === undefined ? undefined : readOomKills(request.ref);
    try {
      const started = await startContainer(engine, request, {
        stateDir,
        rules: rules(),
        account,
        withoutInit: this.#noInit,
        onNoInit: () => void (this.#noInit = true),
        clock,
        signal,
      });
      // The output is copied from the start, even if nobody waits for the end.
      if (started === "exists") return started;
      this.#monitor(request, { ...started, killsBefore });
      return "started";
    } catch (error) {
      if (isEngineAway(error)) this.#options.engines.forget();
      throw error;
    }
  }

  /** Leaves the container of an attempt that may be held: its host decides. */
  #removeUnlessHeld(attempt: AttemptHandle, container?: string): void {
    if (!isHoldWanted(attempt)) this.#removeLater(attempt, container);
  }

  /** Removes the container of an attempt whose record is on disk, while others go on. */
  #removeLater(attempt: AttemptHandle, container?: string): void {
    const name = `remove ${keyOf(attempt)}`;
    if (this.#removals.names.includes(name)) return;
    this.#removals.spawn(name, async (signal) => {
      await this.#options.clock.sleep(REMOVE_AFTER_MS, { signal });
      await this.#remove(attempt, container, signal);
    });
  }

  /** Removes a container; a failure only costs space until the next agent removes orphans. */
  async #remove(
    attempt: AttemptHandle,
    container: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { stateDir, log } = this.#options;
    try {
      const engine = await this.#engine(signal);
      const id = container ?? (await findContainer(engine, attempt, { stateDir, signal }))?.id;
      if (id !== undefined) await engine.removeContainer(id, signal);
    } catch (error) {
      signal.throwIfAborted();
      const { jobId, number } = attempt.ref;
      log.warning("Cannot remove a container", { jobId, attempt: number, error });
    }
  }

  /** Finds the container of an attempt that has a log and no record. */
  async #findContainer(
    attempt: AttemptHandle,
    signal: AbortSignal,
  ): Promise<"alive" | "never_begun" | "none"> {
    try {
      const engine = await this.#engine(signal);
      const info = await fenceIfMade(engine, attempt, {
        stateDir: this.#options.stateDir,
        signal,
      });
      if (info === undefined) return "none";
      return wasStarted(info) ? "alive" : "never_begun";
    } catch (error) {
      signal.throwIfAborted();
      if (!isEngineAway(error)) throw error;
      this.#options.engines.forget();
      // Unknown while the engine is away; `ended` waits until it is back.
      return "alive";
    }
  }

  /** Monitors an attempt, once for all callers. */
  #monitor(attempt: AttemptHandle, begun: Begun = {}): Monitored {
    const key = keyOf(attempt);
    const known = this.#monitored.get(key);
    if (known !== undefined) return known;
    const outcome = Promise.withResolvers<AttemptOutcome>();
    void outcome.promise.catch(ignore("its callers get it"));
    const monitored: Monitored = {
      outcome: outcome.promise,
      stopRequested: Promise.withResolvers(),
      begun,
      away: undefined,
    };
    this.#monitored.set(key, monitored);
    this.#tasks.spawn(`container ${key}`, async (signal) => {
      try {
        const container = await this.#follow(attempt, monitored, signal);
        const isOver = existsSync(attempt.directory.resultFile);
        // One that never ran must not be started after the end.
        if (!isOver && container !== undefined) await this.#remove(attempt, container, signal);
        outcome.resolve(await settleDirectory(attempt, this.#evidenceOptions()));
        if (isOver && container !== undefined) this.#removeUnlessHeld(attempt, container);
      } catch (error) {
        outcome.reject(error);
        if (!signal.aborted) throw error;
      } finally {
        this.#monitored.delete(key);
      }
    });
    // A disposed group accepts no tasks.
    if (this.#tasks.signal.aborted) {
      this.#monitored.delete(key);
      outcome.reject(this.#tasks.signal.reason);
    }
    return monitored;
  }

  /** Follows a container to its end; returns its id, or `undefined` if there is none. */
  async #follow(
    attempt: AttemptHandle,
    monitored: Monitored,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { stateDir, clock, log } = this.#options;
    const backoff = new Backoff(RETRY);
    const { killsBefore } = monitored.begun;
    let container = monitored.begun.container;
    for (let failures = 0;;) {
      try {
        const engine = await this.#engine(signal);
        if (monitored.away !== undefined) await engine.facts(signal);
        monitored.away = undefined;
        // It need not be looked for where it was started just now.
        container ??= (await findContainer(engine, attempt, { stateDir, signal }))?.id;
        if (container === undefined) return undefined;
        await monitorContainer(engine, attempt, {
          container,
          withoutLog: failures >= LOG_TRIES,
          killsBefore,
          stopRequested: () => nextStop(monitored),
          clock,
          signal,
        });
        return container;
      } catch (error) {
        signal.throwIfAborted();
        container = undefined;
        if (isEngineAway(error)) {
          this.#options.engines.forget();
          monitored.away = messageOf(error);
        } else {
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
      this.#options.engines.forget();
      throw error;
    }
  }

  #evidenceOptions() {
    return { monitor: "the container engine", now: this.#options.clock.now() };
  }
}

/** Resolves at the next stop request. */
async function nextStop(monitored: Monitored): Promise<void> {
  const request = monitored.stopRequested;
  await request.promise;
  if (monitored.stopRequested === request) monitored.stopRequested = Promise.withResolvers();
}

function isHoldWanted({ spec: { holdMs = 0 } }: AttemptHandle): boolean {
  return holdMs > 0;
}

function keyOf({ ref }: AttemptHandle): string {
  return `${ref.jobId}/${ref.number}`;
}
