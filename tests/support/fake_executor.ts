/**
 * An executor that keeps its contract without running anything: what is begun
 * ends when the test says so, and outlives the executor.
 *
 * @module
 */
import type {
  AttemptFound,
  AttemptHandle,
  AttemptRequest,
  Executor,
  ProjectUse,
  StopRequest,
} from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { raceAbort } from "@lib/core/abort.ts";

/** The state that outlives a process: the attempts themselves. */
export class FakeMachine {
  readonly begun: string[] = [];
  /** What each attempt was begun with. */
  readonly requests: AttemptRequest[] = [];
  readonly stops: { readonly key: string; readonly why: StopRequest }[] = [];
  readonly found = new Map<string, AttemptFound>();
  readonly #ends = new Map<string, PromiseWithResolvers<AttemptOutcome>>();
  readonly #begins = new Map<string, PromiseWithResolvers<void>>();
  /** Thrown by the next start, before anything is begun. */
  nextStartFails: Error | undefined;
  /** Called as soon as an attempt has begun. */
  onBegun = () => {};
  /** Why the ends of attempts cannot be learned. */
  away: string | undefined;
  /** Removes what this account cannot. */
  removeForeign = (path: string): Promise<void> => Promise.reject(new Error(`no engine: ${path}`));
  /** Thrown by each look at this attempt. */
  readonly lookFails = new Map<string, Error>();

  /** Ends an attempt. */
  end(key: string, outcome: AttemptOutcome): void {
    this.found.set(key, { kind: "ended", outcome });
    this.endOf(key).resolve(outcome);
  }

  /** Settles when an attempt has begun. */
  beginOf(key: string): PromiseWithResolvers<void> {
    let begin = this.#begins.get(key);
    if (begin === undefined) {
      begin = Promise.withResolvers();
      this.#begins.set(key, begin);
    }
    return begin;
  }

  endOf(key: string): PromiseWithResolvers<AttemptOutcome> {
    let end = this.#ends.get(key);
    if (end === undefined) {
      end = Promise.withResolvers();
      this.#ends.set(key, end);
    }
    return end;
  }
}

/** An executor on a machine. */
export class FakeExecutor implements Executor {
  readonly kind = "direct";
  readonly #machine: FakeMachine;

  constructor(machine: FakeMachine) {
    this.#machine = machine;
  }

  async start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    const { ref } = request;
    signal.throwIfAborted();
    const failure = this.#machine.nextStartFails;
    this.#machine.nextStartFails = undefined;
    if (failure !== undefined) throw failure;
    const key = `${ref.jobId}/${ref.number}`;
    if (this.#machine.found.has(key)) return await Promise.resolve("exists");
    this.#machine.begun.push(key);
    this.#machine.requests.push(request);
    this.#machine.onBegun();
    this.#machine.beginOf(key).resolve();
    this.#machine.found.set(key, { kind: "alive" });
    return await Promise.resolve("started");
  }

  async look({ ref }: AttemptHandle): Promise<AttemptFound> {
    const key = `${ref.jobId}/${ref.number}`;
    const failure = this.#machine.lookFails.get(key);
    if (failure !== undefined) throw failure;
    const found = this.#machine.found.get(key);
    return await Promise.resolve(found ?? { kind: "never_begun" });
  }

  ended({ ref }: AttemptHandle, signal: AbortSignal): Promise<AttemptOutcome> {
    return raceAbort(this.#machine.endOf(`${ref.jobId}/${ref.number}`).promise, signal);
  }

  stop({ ref }: AttemptHandle, why: StopRequest): Promise<void> {
    this.#machine.stops.push({ key: `${ref.jobId}/${ref.number}`, why });
    return Promise.resolve();
  }

  describeProject(): Promise<ProjectUse> {
    return Promise.resolve({ limits: {}, usage: {} });
  }

  removeForeign(path: string): Promise<void> {
    return this.#machine.removeForeign(path);
  }

  awayReason(): string | undefined {
    return this.#machine.away;
  }

  unhealthyReason(): string | undefined {
    return undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
