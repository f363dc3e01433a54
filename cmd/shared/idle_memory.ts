/**
 * Gives memory back to the system when a program has become idle.
 *
 * The garbage of a burst of work would otherwise stay until more work comes: V8 collects when it
 * needs room, and then keeps the pages. So does libc with what the runtime itself has freed, on each
 * of its threads, such as the texts and compiled code of the start.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { Libc } from "@lib/foundations/systemd/libc.ts";
import { keepCode } from "./kept_code.ts";

/** Idleness after which memory is given back. */
const AFTER_MS = 2_000;
/** Shortest time between two collections: one costs as much CPU time as two jobs. */
const PAUSE_MS = 20_000;

/**
 * Makes a function that is told the idleness now and then, in milliseconds. It collects once after
 * each time of work, the start included.
 */
export function collectorWhenIdle(
  clock: Pick<Clock, "now">,
  collect: () => void = giveBack,
): (idleForMs: number) => void {
  let isDue = true;
  let collectedAt = -Infinity;
  return (idleForMs) => {
    if (idleForMs < AFTER_MS) isDue = true;
    else if (isDue && clock.now() - collectedAt >= PAUSE_MS) {
      isDue = false;
      collectedAt = clock.now();
      collect();
    }
  };
}

function giveBack(): void {
  keepCode();
  collectGarbage();
  if (Deno.build.os === "linux") new Libc().trimMemory();
}

/** Collects garbage at once; the installed programs expose V8's function for it. */
function collectGarbage(): void {
  const expose: unknown = Reflect.get(globalThis, "gc");
  // Other flavors keep the pages.
  if (typeof expose === "function") {
    expose({ type: "major", execution: "sync", flavor: "last-resort" });
  }
}
