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
