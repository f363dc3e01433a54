/**
 * Rate limits: a bucket of tokens per name, refilled over time.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";

/** Options for {@linkcode TokenBuckets}. */
export interface TokenBucketsOptions {
  readonly clock: Clock;
  /** Capacity of a bucket and its refill per minute; read at each use. */
  readonly perMinute: () => number;
  /** Number of buckets kept; the least recently used one is dropped. */
  readonly maxNames: number;
}

/** The result of asking for a token. */
export type Taken =
  | { readonly kind: "taken" }
  | { readonly kind: "empty"; readonly retryAfterMs: number };

interface Bucket {
  tokens: number;
  filledAt: number;
}

const MINUTE_MS = 60_000;

/** Buckets by name. */
export class TokenBuckets {
  readonly #options: TokenBucketsOptions;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: TokenBucketsOptions) {
    this.#options = options;
  }

  /** Number of buckets. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes a token out of the bucket of `name`. */
  take(name: string): Taken {
    const { clock, maxNames } = this.#options;
    const perMinute = this.#options.perMinute();
    const now = clock.now();
    const bucket = this.#buckets.get(name) ?? { tokens: perMinute, filledAt: now };
    // A clock that was set back adds nothing.
    const elapsedMs = Math.max(0, now - bucket.filledAt);
    bucket.tokens = Math.min(perMinute, bucket.tokens + elapsedMs * perMinute / MINUTE_MS);
    bucket.filledAt = now;
    this.#buckets.delete(name);
    this.#buckets.set(name, bucket);
    if (this.#buckets.size > maxNames) {
      const [oldest = name] = this.#buckets.keys();
      this.#buckets.delete(oldest);
    }
    if (bucket.tokens < 1) {
      const retryAfterMs = Math.ceil((1 - bucket.tokens) * MINUTE_MS / perMinute);
      return { kind: "empty", retryAfterMs };
    }
    bucket.tokens--;
    return { kind: "taken" };
  }
}
