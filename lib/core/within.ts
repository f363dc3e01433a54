/**
 * Waits with a limit that is an answer, not an error.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";

/** Waits for a promise; `false` after `ms` milliseconds. Rejects with the signal's reason. */
export async function within(
  clock: Clock,
  promise: Promise<unknown>,
  ms: number,
  signal: AbortSignal,
): Promise<boolean> {
  const own = new AbortController();
  const onAbort = () => own.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([
      promise.then(() => true),
      clock.sleep(ms, { signal: own.signal }).then(() => false),
    ]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    own.abort(new DOMException("It has come", "AbortError"));
  }
}
