/**
 * Decorrelated backoff: each delay is random between the first and three times the one before.
 *
 * A fleet that lost its console at one moment comes back spread out, which doubling with a little
 * jitter does not achieve.
 *
 * @module
 */

/** Bounds of the delays, in milliseconds. */
export interface Pace {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Delays between the tries of one link. */
export class DecorrelatedBackoff {
  readonly #random: () => number;
  #lastMs = 0;

  /** @param random Returns a number in [0, 1). */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Returns the delay before the next try, in milliseconds. */
  next({ firstMs, maxMs }: Pace): number {
    const last = Math.min(Math.max(this.#lastMs, firstMs), maxMs);
    const highMs = Math.min(maxMs, last * 3);
    this.#lastMs = firstMs + (highMs - firstMs) * this.#random();
    return Math.round(this.#lastMs);
  }

  /** Starts over after a good connection. */
  reset(): void {
    this.#lastMs = 0;
  }
}
