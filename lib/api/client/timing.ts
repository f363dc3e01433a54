/**
 * Deadlines and pauses of a command.
 *
 * `setTimeout` makes the runtime load its compatibility with Node.js, which takes half as long as
 * the runtime itself; the timers of `AbortSignal` do not. One that is no longer wanted stays until
 * its time, without keeping the process: in a command that is no harm.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { type Clock, systemClock } from "@lib/core/clock.ts";

/** Longest time of a timer: it has 32 bits. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** The clock of the machine, in a command. */
export const commandClock: Clock = {
  now: systemClock.now,
  sleep(ms, { signal } = {}) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const timer = after(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      const onAbort = () => {
        timer[Symbol.dispose]();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};

/** Returns a signal that aborts with `signal`, or after `timeoutMs` with `deadline_exceeded`. */
export function answerDeadline(
  signal: AbortSignal,
  timeoutMs: number,
  waitingFor: string,
): AbortSignal & Disposable {
  return withDeadline(signal, timeoutMs, waitingFor, after);
}

/** Calls `action` after `ms` milliseconds, unless it is disposed before. */
function after(ms: number, action: () => void): Disposable {
  const timer = AbortSignal.timeout(Math.min(Math.max(0, ms), TIMER_MAX_MS));
  timer.addEventListener("abort", action, { once: true });
  return { [Symbol.dispose]: () => timer.removeEventListener("abort", action) };
}
