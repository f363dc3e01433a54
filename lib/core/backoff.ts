/**
 * Waiting times between tries.
 *
 * @module
 */

/** Options for {@linkcode Backoff}. */
export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  /** A number in [0, 1); spreads the tries of many clients. */
  readonly random?: () => number;
}

/** Doubling delays with up to a quarter of jitter. */
export class Backoff {
  #nextMs: number;
  readonly #options: BackoffOptions;

  constructor(options: BackoffOptions) {
    this.#options = options;
    this.#nextMs = Math.min(options.firstMs, options.maxMs);
  }

  /** The delay before the next try, in milliseconds. */
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
