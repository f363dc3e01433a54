/**
 * The console's strict limit of requests.
 *
 * @module
 */

/** Options for {@linkcode StrictLimiter}. */
export interface LimiterOptions {
  /** @default {10} */
  readonly limit?: number;
  /** @default {60000} */
  readonly windowMs?: number;
}

/** Counts requests by a key, in windows that begin with the first of them. */
export class StrictLimiter {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #windows = new Map<string, { readonly since: number; count: number }>();

  constructor({ limit = 10, windowMs = 60_000 }: LimiterOptions = {}) {
    this.#limit = limit;
    this.#windowMs = windowMs;
  }

  /** Counts a request. Returns for how many seconds it is refused, or `undefined`. */
  take(key: string, now: number): number | undefined {
    const window = this.#windows.get(key);
    if (window === undefined || now >= window.since + this.#windowMs) {
      this.#windows.set(key, { since: now, count: 1 });
      return undefined;
    }
    window.count += 1;
    if (window.count <= this.#limit) return undefined;
    return Math.ceil((window.since + this.#windowMs - now) / 1_000);
  }
}

/** Returns the key of a request: its first address, else one that all direct agents share. */
export function limiterKey(headers: Headers): string {
  const forwarded = headers.get("x-forwarded-for")?.split(",", 1)[0]?.trim();
  return forwarded || headers.get("x-real-ip") || "unknown";
}
