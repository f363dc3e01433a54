/**
 * A wait that something else may end early.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";

/** Options for {@linkcode sleepUnless}. */
export interface SleepUnlessOptions {
  readonly ms: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Sleeps until `event` is kept or the time is over.
 *
 * @returns Whether it was the event.
 */
export async function sleepUnless(
  event: Promise<unknown>,
  { ms, clock, signal }: SleepUnlessOptions,
): Promise<boolean> {
  const over = new AbortController();
  const sleep = clock.sleep(Math.max(ms, 0), { signal: over.signal }).then(() => false);
  try {
    return await raceAbort(Promise.race([event.then(() => true), sleep]), signal);
  } finally {
    void sleep.catch(ignore("the wait is over, so its timer is taken away"));
    over.abort(new DOMException("The wait is over", "AbortError"));
  }
}
