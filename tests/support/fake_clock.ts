/**
 * A clock that stands still until a test moves it.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";

interface Sleeper {
  readonly dueAt: number;
  readonly wake: () => void;
}

/** Time under the test's control; begins at 0 unless told otherwise. */
export class FakeClock implements Clock {
  readonly #sleepers = new Set<Sleeper>();
  #now: number;

  constructor(startMs = 0) {
    this.#now = startMs;
  }

  /** The number of pending sleeps. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason);
      };
      const sleeper: Sleeper = {
        dueAt: this.#now + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Moves the time on, waking sleepers one after another at the moment each is due. */
  async tick(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (let next = this.#next(); next !== undefined && next.dueAt <= until; next = this.#next()) {
      this.#now = Math.max(this.#now, next.dueAt);
      next.wake();
      await settle();
    }
    this.#now = until;
  }

  #next(): Sleeper | undefined {
    let first: Sleeper | undefined;
    for (const sleeper of this.#sleepers) {
      if (first === undefined || sleeper.dueAt < first.dueAt) first = sleeper;
    }
    return first;
  }
}

/** Lets everything run that waits for no one but the event loop. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
