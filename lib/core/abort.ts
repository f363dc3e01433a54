/**
 * Deadlines and cancellation on top of `AbortSignal`.
 *
 * @module
 */
import { CicdError, ignore } from "@lib/core/errors.ts";

/**
 * A signal that aborts with the parent, or after `timeoutMs` with a
 * `deadline_exceeded` error that names what was waited for.
 */
export function withDeadline(
  signal: AbortSignal,
  timeoutMs: number,
  waitingFor: string,
): AbortSignal & Disposable {
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(
    () =>
      controller.abort(
        new CicdError(
          "deadline_exceeded",
          `Cannot wait longer for ${waitingFor}: ${timeoutMs} ms have passed`,
        ),
      ),
    timeoutMs,
  );
  return Object.assign(controller.signal, {
    [Symbol.dispose]() {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    },
  });
}

/**
 * Waits for `promise`, or rejects with the signal's reason when it aborts first.
 *
 * The promise itself goes on; its late rejection is absorbed, as its result is
 * no longer wanted.
 */
export async function raceAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    void promise.catch(ignore("its result is no longer wanted"));
    throw signal.reason;
  }
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
