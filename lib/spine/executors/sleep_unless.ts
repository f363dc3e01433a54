/**
 * A sleep that an event may end early.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";

/**
 * Sleeps until `event` resolves or the time is over.
 *
 * @returns `true` if the event resolved.
 */
export async function sleepUnless(
  event: Promise<unknown>,
  { ms, clock, signal }: {
    readonly ms: number;
    readonly clock: Clock;
    readonly signal: AbortSignal;
  },
): Promise<boolean> {
  const over = new AbortController();
  const sleep = clock.sleep(Math.max(ms, 0), { signal: over.signal }).then(() => false);
  try {
    return await raceAbort(Promise.race([event.then(() => true), sleep]), signal);
  } finally {
    void sleep.catch(ignore("the wait is over, so its timer is cancelled"));
    over.abort(OVER);
  }
}

const OVER = new DOMException("The wait is over", "AbortError");
