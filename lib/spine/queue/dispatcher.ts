/**
 * The loop that takes jobs from the queue and sees each attempt to its end.
 *
 * Durable first, then act: an attempt is `starting` on disk before the agent
 * hears of it, and `ended` on disk before its place is given away.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { ignore, toCicdError } from "@lib/core/errors.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { ALL_PROJECTS } from "@lib/spine/queue/intake_modes.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import { type AttemptOutcome, isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import { pickJobs } from "@lib/spine/queue/scheduler.ts";

/**
 * Carries attempts out; the link to the agents.
 *
 * `run` may be called again for the same attempt at any time and joins it: the attempt itself is
 * begun at most once. Both methods keep trying while the agent cannot be reached and reject only
 * with the signal's reason.
 */
export interface AttemptRunner {
  run(job: Job, options: RunAttemptOptions): Promise<AttemptOutcome>;
  /** Resolves when the agent has taken the request. */
  stop(job: Job, signal: AbortSignal): Promise<void>;
}

/** Options for {@linkcode AttemptRunner.run}. */
export interface RunAttemptOptions {
  /** Called when the agent says that the attempt's processes are on their way. */
  readonly onStarted: () => void;
  readonly signal: AbortSignal;
}

/** The part of the configuration that the loop reads, anew at every turn. */
export interface DispatchLimits {
  readonly maxRunning: number;
  readonly maxRunningOf: (project: ProjectName) => number;
}

/** Options for {@linkcode Dispatcher}. */
export interface DispatcherOptions {
  readonly store: JobStore;
  readonly runner: AttemptRunner;
  readonly limits: () => DispatchLimits;
  /** Names this boot of the machine: what was under way in another one is over. */
  readonly bootId: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Runs the queue until disposed; disposing leaves running jobs alone. */
export class Dispatcher implements AsyncDisposable {
  readonly #options: DispatcherOptions;
  readonly #tasks: TaskGroup;
  /** The attempts under way, each with what ends its stop request. */
  readonly #driven = new Map<string, AbortController>();
  readonly #stopping = new Set<string>();
  readonly #lastTurn = new Map<ProjectName, number>();
  #turn = 0;
  #wake = Promise.withResolvers<void>();
  #beatAt: number;
  #failure: string | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#beatAt = options.clock.now();
    this.#tasks = new TaskGroup({
      onFailure: (name, error) =>
        options.log.error("A background task failed", { task: name, error }),
    });
  }

  /** Joins the attempts that an earlier process left under way, then runs the queue. */
  start(): void {
    for (const job of this.#options.store.inFlight()) {
      this.#drive(job);
      if (job.cancel !== undefined) this.#stop(job);
    }
    this.#tasks.spawn("dispatch", (signal) => this.#loop(signal));
  }

  /** Says that the queue, a limit or a mode has changed. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Reacts to a committed change of a job. */
  onChange(job: Job): void {
    if (job.cancel !== undefined && !isTerminal(job.state) && job.state !== "queued") {
      this.#stop(job);
    }
    if (job.state === "queued" || isTerminal(job.state)) this.wake();
  }

  /** Why jobs are not started now, such as a full disk; `undefined` while they are. */
  unreadyReason(): string | undefined {
    return this.#failure === undefined
      ? this.unhealthyReason()
      : `the queue cannot be run: ${this.#failure}`;
  }

  /** Why only a new process can help, or `undefined` while this one turns. */
  unhealthyReason(): string | undefined {
    const lateMs = this.#options.clock.now() - this.#beatAt;
    return lateMs > 2 * MAX_REST_MS
      ? `the queue has not been looked at for ${lateMs} ms`
      : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
  }

  async #loop(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ firstMs: 100, maxMs: 5_000 });
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers();
      let restMs: number;
      try {
        // Each pick may free others: of a concurrency group, only the first is looked at.
        while (this.#startJobs() > 0);
        restMs = this.#restMs();
        this.#failure = undefined;
        backoff.reset();
      } catch (error) {
        this.#failure = toCicdError(error).message;
        this.#options.log.error("The queue cannot be run; trying again", { error });
        restMs = backoff.next();
      }
      this.#beatAt = this.#options.clock.now();
      await this.#rest(restMs, signal);
    }
  }

  /** Starts what may start; returns how many attempts were begun. */
  #startJobs(): number {
    const { store, clock, limits, bootId } = this.#options;
    const { maxRunning, maxRunningOf } = limits();
    const running = this.#driven.size;
    if (running >= maxRunning || store.queuedCount() === 0) return 0;
    const modes = store.intakeModes();
    if (modes.get(ALL_PROJECTS) === "paused") return 0;
    const picks = pickJobs(store.candidates(clock.now(), maxRunning - running), {
      running,
      maxRunning,
      maxRunningOf,
      isHeld: (project) => modes.get(project) === "paused",
      lastTurnOf: (project) => this.#lastTurn.get(project) ?? 0,
    });
    if (picks.length === 0) return 0;
    for (const { project } of picks) this.#noteTurn(project);
    const claims = store.applyAll(picks.map(({ id }) => id), { kind: "claimed", bootId });
    const begun = claims.flatMap((claim) => claim.kind === "changed" ? [claim.job] : []);
    for (const job of begun) this.#drive(job);
    return begun.length;
  }

  #noteTurn(project: ProjectName): void {
    this.#lastTurn.delete(project);
    this.#lastTurn.set(project, ++this.#turn);
    // Whoever had no turn for so long goes first anyway.
    const [oldest] = this.#lastTurn.keys();
    if (this.#lastTurn.size > MAX_TURNS && oldest !== undefined) this.#lastTurn.delete(oldest);
  }

  #restMs(): number {
    const { store, clock } = this.#options;
    const now = clock.now();
    return Math.min(MAX_REST_MS, Math.max(1, (store.nextNotBefore(now) ?? Infinity) - now));
  }

  async #rest(ms: number, signal: AbortSignal): Promise<void> {
    using stop = abortOnDispose(signal);
    const slept = this.#options.clock.sleep(ms, { signal: stop.signal });
    await Promise.race([this.#wake.promise, slept.catch(ignore("woken, or about to end"))]);
  }

  #drive(job: Job): void {
    const key = attemptKey(job.id, job.attempt);
    if (this.#driven.has(key)) return;
    const over = new AbortController();
    this.#driven.set(key, over);
    this.#tasks.spawn(`attempt ${key}`, async (signal) => {
      try {
        await this.#runAttempt(job, signal);
      } finally {
        this.#driven.delete(key);
        over.abort(new DOMException("The attempt is over", "AbortError"));
        this.wake();
      }
    });
  }

  async #runAttempt(job: Job, signal: AbortSignal): Promise<void> {
    const { store, runner, clock, log } = this.#options;
    const fields = { jobId: job.id, project: job.spec.project, attempt: job.attempt };
    const onStarted = () => {
      try {
        store.apply(job.id, { kind: "started", attempt: job.attempt, at: clock.now() });
      } catch (error) {
        // The attempt goes on: `running` is only told later, by its end.
        log.warning("Cannot record the start of an attempt", { ...fields, error });
      }
    };
    const outcome = await runner.run(job, { onStarted, signal });
    const backoff = new Backoff({ firstMs: 100, maxMs: 10_000 });
    while (true) {
      try {
        const result = store.apply(job.id, { kind: "ended", attempt: job.attempt, outcome });
        if (result.kind === "refused") log.warning(result.message, fields);
        return;
      } catch (error) {
        // The agent keeps the outcome on disk, so nothing is lost while this is tried again.
        log.error("Cannot record the end of an attempt; trying again", { ...fields, error });
        await clock.sleep(backoff.next(), { signal });
      }
    }
  }

  #stop(job: Job): void {
    const key = attemptKey(job.id, job.attempt);
    const over = this.#driven.get(key)?.signal;
    if (over === undefined || this.#stopping.has(key)) return;
    this.#stopping.add(key);
    this.#tasks.spawn(`stop ${key}`, async (signal) => {
      try {
        await this.#options.runner.stop(job, AbortSignal.any([signal, over]));
      } catch (error) {
        // An attempt that has ended by itself needs no stop any more.
        if (!over.aborted) throw error;
      } finally {
        this.#stopping.delete(key);
      }
    });
  }
}

/** The loop turns at least this often, so that its silence means something. */
const MAX_REST_MS = 5_000;
/** Projects whose last turn is remembered. */
const MAX_TURNS = 1_024;

function attemptKey(id: JobId, attempt: number): string {
  return `${id}/${attempt}`;
}

function abortOnDispose(parent: AbortSignal): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const onAbort = () => controller.abort(parent.reason);
  parent.addEventListener("abort", onAbort, { once: true });
  if (parent.aborted) onAbort();
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      parent.removeEventListener("abort", onAbort);
      controller.abort(new DOMException("Rest is over", "AbortError"));
    },
  };
}
