/**
 * Keep-alive pings for `WatchdogSec=`.
 *
 * A ping means "this process does its work", not "its event loop runs": it is
 * sent only while the injected health check passes.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";

/** The outcome of one beat of {@linkcode runWatchdog}. */
export type WatchdogBeat =
  | { readonly kind: "pinged" }
  | { readonly kind: "withheld"; readonly reason: string }
  | { readonly kind: "failed"; readonly error: unknown };

/** Options for {@linkcode runWatchdog}. */
export interface WatchdogOptions {
  /** Interval granted by the service manager, in milliseconds. */
  readonly intervalMs: number;
  /** Sends `WATCHDOG=1`. */
  readonly ping: () => Promise<void>;
  /** Returns why the process is unhealthy, or `undefined` while it is healthy. */
  readonly unhealthyReason: () => string | undefined;
  /** Called after each beat; log here, this module does not. */
  readonly onBeat?: (beat: WatchdogBeat) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Pings twice per interval, starting now, until `signal` aborts.
 *
 * A failed ping is reported and retried on the next beat: the service
 * manager, not this loop, decides when the process is lost.
 *
 * @returns Resolves when `signal` aborts.
 * @throws {RangeError} If `intervalMs` is not a positive number.
 */
export async function runWatchdog(options: WatchdogOptions): Promise<void> {
  const { intervalMs, clock, signal, onBeat } = options;
  if (!(intervalMs > 0)) {
    throw new RangeError(
      `Cannot run watchdog as 'intervalMs' must be > 0: current value is ${intervalMs}`,
    );
  }
  while (!signal.aborted) {
    // Apart from the call: the arguments of an optional call are not evaluated without a callee.
    const done = await beat(options);
    onBeat?.(done);
    try {
      await clock.sleep(intervalMs / 2, { signal });
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
  }
}

async function beat({ ping, unhealthyReason }: WatchdogOptions): Promise<WatchdogBeat> {
  const reason = unhealthyReason();
  if (reason !== undefined) return { kind: "withheld", reason };
  try {
    await ping();
    return { kind: "pinged" };
  } catch (error) {
    return { kind: "failed", error };
  }
}
