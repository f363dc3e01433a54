/**
 * Time that passes faster.
 *
 * @module
 */
import { type Clock, systemClock } from "@lib/core/clock.ts";

/** Makes a clock by which `factor` seconds pass in one. */
export function fastClock(factor: number): Clock {
  const startedAt = systemClock.now();
  return {
    now: () => Math.round(startedAt + (systemClock.now() - startedAt) * factor),
    sleep: (ms, options) => systemClock.sleep(ms / factor, options),
  };
}
