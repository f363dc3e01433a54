/**
 * The connection to the service manager: opened on first use, reopened while a caller waits for a
 * unit.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { UnitName } from "@lib/foundations/systemd/unit_name.ts";
import type { UnitProperty } from "@lib/foundations/systemd/unit_property.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";
import type { UnitManager } from "@lib/spine/executors/unit_manager.ts";

/** Options for {@linkcode ManagerLink}. */
export interface ManagerLinkOptions {
  readonly connect: (signal: AbortSignal) => Promise<UnitManager>;
  /** Called with each new connection before its first use; a failure is one of the connection. */
  readonly onConnected?: (manager: UnitManager, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly backoff?: Backoff;
}

/** A longer outage is unhealthy; a restart of the bus takes less. */
const UNHEALTHY_AFTER_MS = 5_000;
/** Interval of checks in case a signal of the manager was lost. */
const RECHECK_MS = 30_000;

/** A shared connection; disposing it changes nothing in the manager. */
export class ManagerLink implements AsyncDisposable {
  readonly #options: ManagerLinkOptions;
  readonly #backoff: Backoff;
  readonly #tasks: TaskGroup;
  /** Wakes the callers that wait for a unit to go. */
  readonly #waiting = new Map<UnitName, Set<() => void>>();
  /** Units started over a connection that has not announced their removal. */
  readonly #loaded = new Map<UnitName, UnitManager>();
  #manager: UnitManager | undefined;
  #connecting: Promise<UnitManager> | undefined;
  #reconnecting: Promise<void> | undefined;
  #down: { readonly since: number; readonly why: string } | undefined;

  constructor(options: ManagerLinkOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff({ firstMs: 50, maxMs: 5_000 });
    // The tasks handle their own failures, in `#down`.
    this.#tasks = new TaskGroup({ onFailure: (_name, error) => this.#markDown(error) });
  }

  /** Returns why nothing can be started; `undefined` while healthy, or before the first try. */
  unhealthyReason(): string | undefined {
    if (this.#down === undefined) return undefined;
    const awayMs = this.#options.clock.now() - this.#down.since;
    if (awayMs < UNHEALTHY_AFTER_MS) return undefined;
    return `The service manager has been away for ${
      Math.round(awayMs / 1_000)
    } s: ${this.#down.why}`;
  }

  /** Returns why there is no connection; `undefined` while there is, or before the first try. */
  awayReason(): string | undefined {
    return this.#down && `the service manager is away: ${this.#down.why}`;
  }

  /**
   * Returns the connection; tries once to open it.
   *
   * @throws {CicdError} `systemd_unavailable` if that fails.
   */
  async use(signal: AbortSignal): Promise<UnitManager> {
    signal.throwIfAborted();
    if (this.#manager !== undefined) return this.#manager;
    this.#tasks.signal.throwIfAborted();
    this.#connecting ??= this.#connect().finally(() => this.#connecting = undefined);
    return await raceAbort(this.#connecting, signal);
  }

  /** Starts a unit; what is known of it from then on saves {@linkcode ManagerLink.gone} a question. */
  async start(
    unit: UnitName,
    properties: readonly UnitProperty[],
    signal: AbortSignal,
  ): Promise<"started" | "exists"> {
    const manager = await this.use(signal);
    // Before the call: the removal may be announced together with its answer.
    this.#loaded.set(unit, manager);
    let answer: "started" | "exists" | undefined;
    try {
      return answer = await manager.startTransientService(unit, properties, signal);
    } finally {
      if (answer !== "started") this.#loaded.delete(unit);
    }
  }

  /** Resolves once no unit of that name is loaded, however often the connection is lost. */
  async gone(unit: UnitName, signal: AbortSignal): Promise<void> {
    const ended = AbortSignal.any([signal, this.#tasks.signal]);
    while (true) {
      using wake = this.#wakeOn(unit);
      try {
        const manager = await this.use(ended);
        const isLoaded = this.#loaded.get(unit) === manager;
        if (!isLoaded && !await manager.unitExists(unit, ended)) return;
      } catch (error) {
        if (ended.aborted || !isAway(error)) throw error;
        await this.#reconnected(ended);
        continue;
      }
      const { clock } = this.#options;
      await sleepUnless(wake.woken, { ms: RECHECK_MS, clock, signal: ended });
      this.#loaded.delete(unit);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
    const manager = this.#manager;
    this.#manager = undefined;
    await manager?.[Symbol.asyncDispose]();
  }

  async #connect(): Promise<UnitManager> {
    const signal = this.#tasks.signal;
    try {
      const manager = await this.#options.connect(signal);
      try {
        await this.#options.onConnected?.(manager, signal);
        signal.throwIfAborted();
      } catch (error) {
        await manager[Symbol.asyncDispose]();
        throw error;
      }
      manager.onUnitRemoved((unit) => this.#wake(unit));
      // What it unloaded was not announced.
      manager.onReloaded(() => this.#loaded.clear());
      this.#manager = manager;
      this.#down = undefined;
      this.#backoff.reset();
      this.#tasks.spawn("watch the service manager", () => this.#watch(manager));
      return manager;
    } catch (error) {
      if (!signal.aborted) this.#markDown(error);
      throw error;
    }
  }

  /** Drops a closed connection, and wakes all callers to check again. */
  async #watch(manager: UnitManager): Promise<void> {
    await raceAbort(manager.closed, this.#tasks.signal);
    this.#manager = undefined;
    this.#loaded.clear();
    this.#markDown(new CicdError("systemd_unavailable", "The connection was closed"));
    for (const unit of [...this.#waiting.keys()]) this.#wake(unit);
    await manager[Symbol.asyncDispose]();
  }

  /** Joins the loop that reconnects. */
  async #reconnected(signal: AbortSignal): Promise<void> {
    this.#reconnecting ??= this.#reconnect().finally(() => this.#reconnecting = undefined);
    await raceAbort(this.#reconnecting, signal);
  }

  async #reconnect(): Promise<void> {
    const signal = this.#tasks.signal;
    while (true) {
      await this.#options.clock.sleep(this.#backoff.next(), { signal });
      try {
        await this.use(signal);
        return;
      } catch (error) {
        if (signal.aborted || !isAway(error)) throw error;
      }
    }
  }

  #markDown(error: unknown): void {
    this.#down = { since: this.#down?.since ?? this.#options.clock.now(), why: messageOf(error) };
  }

  #wake(unit: UnitName): void {
    this.#loaded.delete(unit);
    for (const wake of this.#waiting.get(unit) ?? []) wake();
  }

  #wakeOn(unit: UnitName): Disposable & { readonly woken: Promise<void> } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wakers = this.#waiting.get(unit) ?? new Set();
    this.#waiting.set(unit, wakers.add(resolve));
    return {
      woken: promise,
      [Symbol.dispose]: () => {
        wakers.delete(resolve);
        if (wakers.size === 0) this.#waiting.delete(unit);
      },
    };
  }
}

function isAway(error: unknown): boolean {
  return error instanceof CicdError && error.code === "systemd_unavailable";
}
