/**
 * Waiting for conditions, in place of fixed sleeps.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { systemClock } from "@lib/core/clock.ts";
import { messageOf } from "@lib/core/errors.ts";

/** Options for {@linkcode waitFor}. */
export interface WaitForOptions {
  /** @default {60_000} */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

/**
 * Asks `probe` again and again until it gives something.
 *
 * `undefined`, `false` and a rejection all mean "not yet"; the last rejection
 * is told when the time is up.
 *
 * @param what Names the condition in the error.
 * @throws {Error} If the condition does not hold in time.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | Promise<T>,
  { timeoutMs = 60_000, signal }: WaitForOptions,
): Promise<Exclude<T, undefined | false>> {
  using deadline = withDeadline(signal, timeoutMs, what);
  let last = "it gave nothing";
  for (let delayMs = 5;; delayMs = Math.min(delayMs * 2, 100)) {
    try {
      const found = await probe();
      if (isThere(found)) return found;
    } catch (error) {
      last = messageOf(error);
    }
    try {
      await systemClock.sleep(delayMs, { signal: deadline });
    } catch (error) {
      signal.throwIfAborted();
      throw new Error(`${messageOf(error)}; last seen: ${last}`, { cause: error });
    }
  }
}

function isThere<T>(value: T): value is Exclude<T, undefined | false> {
  return value !== undefined && value !== false;
}
