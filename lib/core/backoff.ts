import type { Clock } from "@lib/core/clock.ts";
import { formatDuration } from "@lib/core/duration.ts";

/** Delays between tries: doubling, with up to a quarter of jitter. */
export class Backoff {
  #nextMs: number;
  readonly #options: { firstMs: number; maxMs: number; random?: () => number };

  /** @param options.random Returns a number in [0, 1); spreads the tries of many clients. */
  constructor(options: { firstMs: number; maxMs: number; random?: () => number }) {
    this.#options = options;
    this.#nextMs = Math.min(options.firstMs, options.maxMs);
  }

  /** Returns the delay before the next try, in milliseconds. */
  next(): number {
    const base = this.#nextMs;
    this.#nextMs = Math.min(base * 2, this.#options.maxMs);
    return base * (1 - (this.#options.random ?? Math.random)() / 4);
  }

  /** Starts over after a success. */
  reset(): void {
    this.#nextMs = Math.min(this.#options.firstMs, this.#options.maxMs);
  }
}

/** Options for {@linkcode retry}. */
export interface RetryOptions {
  /** Returns why a failure may pass; `undefined` if a retry cannot help. */
  readonly passing: (error: unknown) => string | undefined;
  /** Told of each retry, for a log: `…; trying again in 2s (2 of 4)`. */
  readonly say: (line: string) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Tries of a network transfer. */
const TRIES = 4;

/**
 * Repeats a network transfer after failures that may pass, at most 3 times, after 1, 2 and 4 seconds.
 *
 * @throws The last failure, or the signal's reason if it aborts.
 */
export async function retry<T>(task: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { passing, say, clock, signal } = options;
  const backoff = new Backoff({ firstMs: 1_000, maxMs: 8_000 });
  for (let next = 2;; next++) {
    try {
      return await task();
    } catch (error) {
      const why = signal.aborted || next > TRIES ? undefined : passing(error);
      if (why === undefined) throw error;
      const waitMs = Math.ceil(backoff.next() / 100) * 100;
      say(`${why}; trying again in ${formatDuration(waitMs)} (${next} of ${TRIES})`);
      await clock.sleep(waitMs, { signal });
    }
  }
}
