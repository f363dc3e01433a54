import { CicdError, ignore } from "@lib/core/errors.ts";

/** Calls `action` after `ms` milliseconds, unless it is disposed before. */
export type StartTimer = (ms: number, action: () => void) => Disposable;

const startTimeout: StartTimer = (ms, action) => {
  const timer = setTimeout(action, ms);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
};

/** Returns a signal that aborts with `signal`, or after `timeoutMs` with `deadline_exceeded`. */
export function withDeadline(
  signal: AbortSignal,
  timeoutMs: number,
  waitingFor: string,
  startTimer: StartTimer = startTimeout,
): AbortSignal & Disposable {
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = startTimer(timeoutMs, () => {
    const message = `Cannot wait longer for ${waitingFor}: ${timeoutMs} ms have passed`;
    controller.abort(new CicdError("deadline_exceeded", message));
  });
  return Object.assign(controller.signal, {
    [Symbol.dispose]() {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
    },
  });
}

/**
 * Waits for `promise`, or rejects with the signal's reason when that aborts first. The promise
 * itself goes on; its late rejection is ignored.
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

/** Lets the event loop turn, between two steps that each keep it busy. */
export function turn(): Promise<void> {
  // Not imported: commands, which need no turn, would load `node:timers` at each start.
  return new Promise((resolve) => void globalThis.setImmediate(resolve));
}
