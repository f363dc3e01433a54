/**
 * Time as a port, so that loops can be tested without waiting.
 *
 * @module
 */

/** Options for {@linkcode Clock.sleep}. */
export interface SleepOptions {
  readonly signal?: AbortSignal;
}

/** Tells the time and waits. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /**
   * Resolves after `ms` milliseconds.
   *
   * Rejects with the signal's reason as soon as the signal aborts.
   */
  sleep(ms: number, options?: SleepOptions): Promise<void>;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep(ms, { signal } = {}) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};

/** Formats milliseconds since the epoch as RFC 3339 in UTC. */
export function toRfc3339(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
