/**
 * The loop that takes jobs from the queue and follows each attempt to its end.
 *
 * Durable first, then act: an attempt is `starting` on disk before the agent gets it, and `ended`
 * on disk before its slot is free.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, ignore, messageOf, toCicdError } from "@lib/core/errors.ts";
import { formatDuration } from "@lib/core/duration.ts";
import type { JobId } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { type AttemptRunner, neverBegun, type Verdict } from "@lib/spine/queue/attempt_runner.ts";
import type { Changes } from "@lib/spine/queue/job_changes.ts";
import type { Claims, JobStore } from "@lib/spine/queue/job_store.ts";
import {
  type AttemptNotes,
  attemptReason,
  NOTHING_NOTED,
  ReasonWatch,
  SILENT,
} from "@lib/spine/queue/waiting.ts";
import { type AttemptOutcome, isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import { type DispatchLimits, freesPlace, Picker, underWayAfter } from "@lib/spine/queue/picker.ts";
import type { ClaimEvent } from "@lib/spine/jobs/state_machine.ts";

/** Options for {@linkcode Dispatcher}. */
export interface DispatcherOptions {
  readonly store: JobStore;
  readonly runner: AttemptRunner;
  readonly limits: () => DispatchLimits;
  /** Returns why the disk is too full for a job to start; `undefined` if it is not. */
  readonly diskProblem?: () => string | undefined;
  /** The id of this boot of the machine: attempts of another boot are over. */
  readonly bootId: string;
  /** Called with jobs of which only {@linkcode Dispatcher.waitingReason} has changed. */
  readonly onWaiting: (job: Job) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An attempt under way. */
interface Flight extends AttemptNotes {
  /** Ends all requests about it. */
  readonly over: AbortController;
  readonly job: Job;
  /** Aborts when the agent has reported that it is alive, or with `over`. */
  readonly starting: AbortController;
  /** How it ends if the agent refuses it, as it could not be fenced. */
  due: Verdict | undefined;
}

/** Runs the queue until disposed; disposing leaves running jobs alone. */
export class Dispatcher implements AsyncDisposable {
  readonly #options: DispatcherOptions;
  readonly #tasks: TaskGroup;
  /** The attempts under way. */
  readonly #attempts = new Map<string, Flight>();
  readonly #stopping = new Set<string>();
  readonly #picker: Picker;
  #wake = new AbortController();
  readonly #reasons: ReasonWatch;
  #beatAt: number;
  #failure: string | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#picker = new Picker(options);
    this.#beatAt = options.clock.now();
    this.#reasons = new ReasonWatch({ ...options, reasonOf: (job) => this.waitingReason(job) });
    this.#tasks = new TaskGroup({
      onFailure: (name, error) =>
        options.log.error("A background task failed", { task: name, error }),
    });
  }

  /** Joins the attempts that an earlier process left running, then runs the queue. */
  start(): void {
    for (const job of this.#options.store.inFlight()) {
      this.#follow(job);
      if (job.cancel !== undefined) this.#stop(job);
    }
    this.#tasks.spawn("dispatch", (signal) => this.#loop(signal));
    this.#tasks.spawn("reasons", (signal) => this.#reasons.run(signal));
  }

  /** Ends the rest of the loop: the queue, a limit or a mode has changed. */
  wake(): void {
    this.#wake.abort(WOKEN);
  }

  /**
   * Claims a job that is being stored, in the same transaction, if it may start at once: a slot is
   * free, and no other job is queued. Otherwise it takes its turn.
   */
  claim(job: Job, changes: Changes = []): ClaimEvent | undefined {
    const { store, diskProblem, bootId } = this.#options;
    const isHeld = this.#isHeld() || store.queuedCount() > 0 ||
      this.#picker.reason(job, this.#underWay(changes)) !== undefined;
    if (isHeld || diskProblem?.() !== undefined) return undefined;
    this.#picker.noteTurn(job.spec.project);
    return { kind: "claimed", bootId };
  }

  /**
   * Picks the queued jobs that take the places of those that end in a transaction, which has made
   * these changes; `undefined` if no place has become free.
   */
  successors(changes: Changes): Claims | undefined {
    const { bootId, diskProblem } = this.#options;
    if (this.#isHeld() || !freesPlace(changes)) return undefined;
    if (diskProblem?.() !== undefined) return undefined;
    const ids = this.#picker.pick(this.#underWay(changes)).map(({ id }) => id);
    return { ids, event: { kind: "claimed", bootId } };
  }

  /** Reacts to a committed change of a job. */
  onChange(job: Job): void {
    if (job.state === "starting") this.#follow(job);
    if (job.cancel !== undefined && !isTerminal(job.state) && job.state !== "queued") {
      this.#stop(job);
    }
    if (job.state === "queued" || isTerminal(job.state)) {
      // Its end is on disk: its place is free.
      this.#attempts.delete(attemptKey(job.id, job.attempt));
      this.wake();
    }
  }

  /** Returns why a job waits, for people; `undefined` if it does not, or only for its turn. */
  waitingReason(job: Job): string | undefined {
    if (job.state === "queued") {
      return this.#failure === undefined
        ? this.#picker.reason(job, this.#underWay())
        : this.unreadyReason();
    }
    const flight = this.#attempts.get(attemptKey(job.id, job.attempt));
    return flight === undefined || isTerminal(job.state) ? undefined : attemptReason(job, flight);
  }

  /** Returns why no jobs are started now, such as a full disk; `undefined` while they are. */
  unreadyReason(): string | undefined {
    return this.#failure === undefined
      ? this.unhealthyReason()
      : `the queue cannot run: ${this.#failure}`;
  }

  /** Returns why only a restart can help; `undefined` while the loop turns. */
  unhealthyReason(): string | undefined {
    const lateMs = this.#options.clock.now() - this.#beatAt;
    return lateMs > 2 * MAX_REST_MS ? `the queue has not been checked for ${lateMs} ms` : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
  }

  async #loop(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.wake(), { once: true });
    const backoff = new Backoff({ firstMs: 100, maxMs: 5_000 });
    while (!signal.aborted) {
      this.#wake = new AbortController();
      let restMs: number;
      try {
        // Each pick may free others: only the first job of a concurrency group is considered.
        while (this.#startJobs() > 0);
        restMs = this.#restMs();
        this.#failure = undefined;
        backoff.reset();
      } catch (error) {
        const { message } = toCicdError(error);
        if (message !== this.#failure) {
          this.#options.log.error("Cannot run the queue; trying again", { error });
        }
        this.#failure = message;
        restMs = backoff.next();
      }
      this.#beatAt = this.#options.clock.now();
      this.#reasons.note();
      await this.#options.clock.sleep(restMs, { signal: this.#wake.signal })
        .catch(ignore("woken, or about to end"));
    }
  }

  #note(flight: Flight, notes: Partial<AttemptNotes>) {
    Object.assign(flight, notes);
    this.#reasons.note();
  }

  /** Starts the jobs that may start and returns their number. */
  #startJobs(): number {
    const { store, bootId } = this.#options;
    const picks = this.#picker.pick(this.#underWay());
    if (picks.length === 0) return 0;
    const problem = this.#options.diskProblem?.();
    if (problem !== undefined) throw new CicdError("io_failed", problem);
    const claims = store.applyAll(picks.map(({ id }) => id), { kind: "claimed", bootId });
    return claims.filter(({ kind }) => kind === "changed").length;
  }

  /** Nothing is started now. */
  #isHeld(): boolean {
    return this.#failure !== undefined || this.#tasks.signal.aborted;
  }

  /** Returns the jobs with an attempt under way, once a transaction's changes are stored. */
  #underWay(changes: Changes = []): readonly Job[] {
    return underWayAfter([...this.#attempts.values()].map(({ job }) => job), changes);
  }

  #restMs(): number {
    const { store, clock } = this.#options;
    const now = clock.now();
    return Math.min(MAX_REST_MS, Math.max(1, (store.nextNotBefore(now) ?? Infinity) - now));
  }

  #follow(job: Job): void {
    const key = attemptKey(job.id, job.attempt);
    if (this.#attempts.has(key)) return;
    const [over, starting] = [new AbortController(), new AbortController()];
    const flight: Flight = { over, starting, ...NOTHING_NOTED, due: undefined, job };
    this.#attempts.set(key, flight);
    if (job.state === "running") flight.starting.abort(ANSWERED);
    else this.#tasks.spawn(`start of ${key}`, (signal) => this.#limitStart(job, flight, signal));
    this.#tasks.spawn(`attempt ${key}`, async (signal) => {
      try {
        await this.#runAttempt(job, flight, AbortSignal.any([signal, flight.over.signal]));
      } catch (error) {
        if (!flight.over.signal.aborted) throw error;
      } finally {
        this.#attempts.delete(key);
        flight.starting.abort(ANSWERED);
        flight.over.abort(OVER);
        this.wake();
      }
    });
  }

  async #runAttempt(job: Job, flight: Flight, signal: AbortSignal): Promise<void> {
    const { store, runner, clock, log } = this.#options;
    const record = (event: Parameters<typeof store.applySoon>[1]) =>
      void store.applySoon(job.id, event).catch((error: unknown) => {
        log.warning("The end of an attempt will record its start", { ...fieldsOf(job), error });
      });
    const outcome = await runner.run(job, {
      onStarted() {
        flight.starting.abort(ANSWERED);
        record({ kind: "started", attempt: job.attempt, at: clock.now() });
      },
      onCommit: (commit) => record({ kind: "checked_out", attempt: job.attempt, commit }),
      onWaiting: (agent) => {
        const agentSince = flight.agent === undefined ? clock.now() : flight.agentSince;
        this.#note(flight, { agent, agentSince });
      },
      onDoing: (doing) => this.#note(flight, { doing }),
      onRefused: () => flight.due && neverBegun(flight.due, clock.now()),
      signal,
    });
    await this.#record(job, flight, outcome, signal);
  }

  /** Records the end of an attempt; keeps trying. */
  async #record(
    job: Job,
    flight: Flight,
    outcome: AttemptOutcome,
    signal: AbortSignal,
  ): Promise<void> {
    const { store, clock, log } = this.#options;
    const fields = fieldsOf(job);
    const backoff = new Backoff({ firstMs: 100, maxMs: 10_000 });
    while (true) {
      try {
        const event = { kind: "ended", attempt: job.attempt, outcome } as const;
        const result = await store.applySoon(job.id, event);
        if (result.kind === "refused") log.warning(result.message, fields);
        return;
      } catch (error) {
        // The agent keeps the outcome on disk, so nothing is lost until a retry succeeds.
        log.error("Cannot record the end of an attempt; trying again", { ...fields, error });
        const stuck = `its end cannot be recorded: ${toCicdError(error).message}`;
        this.#note(flight, { agent: undefined, doing: undefined, stuck });
        await clock.sleep(backoff.next(), { signal });
      }
    }
  }

  /** Ends an attempt that no agent answers for in time; one that has begun is waited for. */
  async #limitStart(job: Job, flight: Flight, signal: AbortSignal): Promise<void> {
    const { clock, limits, store, log } = this.#options;
    const answered = flight.starting.signal;
    const either = AbortSignal.any([signal, answered]);
    while (!either.aborted) {
      const { startTimeoutMs } = limits();
      await clock.sleep(startTimeoutMs, { signal: either }).catch(ignore("it need not wait"));
      if (either.aborted) return;
      const limit = formatDuration(startTimeoutMs);
      const message = `The agent did not answer within ${limit}: ${flight.agent ?? SILENT}`;
      // A cancel that could not be recorded before is due as well.
      const { reason } = store.get(job.id)?.cancel ?? { reason: undefined };
      const outcome = reason === undefined
        ? { state: "failed", reason: "start_failed", message } as const
        : { state: "cancelled", reason, message } as const;
      if (this.#giveUp(job, flight, outcome)) {
        log.warning("An attempt could not start", { ...fieldsOf(job), why: message });
      } else log.warning("An attempt has begun, but its agent does not answer", fieldsOf(job));
    }
  }

  /** Gives up an attempt without an answer; returns `false` if it has begun, or that is unknown. */
  #giveUp(job: Job, flight: Flight, why: Verdict): boolean {
    const { store, runner, clock, log } = this.#options;
    const { over, starting } = flight;
    try {
      if (starting.signal.aborted || !runner.fence(job)) return false;
      const outcome = neverBegun(why, clock.now());
      store.apply(job.id, { kind: "ended", attempt: job.attempt, outcome });
    } catch (error) {
      log.error("Cannot give up an attempt", { ...fieldsOf(job), error });
      flight.due = why;
      this.#note(flight, { stuck: `it cannot be given up: ${messageOf(error)}` });
      return false;
    }
    starting.abort(ANSWERED);
    over.abort(new DOMException("The attempt was given up", "AbortError"));
    return true;
  }

  #stop(job: Job): void {
    const key = attemptKey(job.id, job.attempt);
    const flight = this.#attempts.get(key);
    if (flight === undefined || flight.over.signal.aborted) return;
    if (job.cancel === undefined || this.#stopping.has(key)) return;
    const { reason, by } = job.cancel;
    const message = `Cancelled ${by} before the start`;
    if (this.#giveUp(job, flight, { state: "cancelled", reason, message })) return;
    const over = flight.over.signal;
    this.#stopping.add(key);
    this.#tasks.spawn(`stop ${key}`, async (signal) => {
      try {
        await this.#stopAttempt(job, flight, AbortSignal.any([signal, over]));
      } catch (error) {
        // An attempt that has ended needs no stop.
        if (!over.aborted) throw error;
      } finally {
        this.#stopping.delete(key);
      }
    });
  }

  /** Has the agent stop an attempt; if it does not answer in time, the runner stops it itself. */
  async #stopAttempt(job: Job, flight: Flight, signal: AbortSignal): Promise<void> {
    const { runner, clock, limits, log } = this.#options;
    let isTaken = false;
    void runner.stop(job, signal).then(() => isTaken = true, ignore("the attempt is over"));
    while (true) {
      await clock.sleep(limits().stopTimeoutMs, { signal });
      if (isTaken && flight.agent === undefined) continue;
      log.warning("Stopping an attempt without its agent", fieldsOf(job));
      try {
        const outcome = await runner.kill(job, signal);
        await this.#record(job, flight, outcome, signal);
        return flight.over.abort(new DOMException("The attempt was stopped", "AbortError"));
      } catch (error) {
        signal.throwIfAborted();
        log.warning("Cannot stop an attempt without its agent", { ...fieldsOf(job), error });
        this.#note(flight, { stuck: `it cannot be stopped: ${messageOf(error)}` });
      }
    }
  }
}

/** The loop turns at least this often, so that a missing turn means something. */
const MAX_REST_MS = 5_000;

const WOKEN = new DOMException("Woken", "AbortError");
const OVER = new DOMException("The attempt is over", "AbortError");
const ANSWERED = new DOMException("The attempt does not wait to start", "AbortError");

function fieldsOf({ id, spec, attempt }: Job) {
  return { jobId: id, project: spec.project, attempt };
}

function attemptKey(id: JobId, attempt: number): string {
  return `${id}/${attempt}`;
}
