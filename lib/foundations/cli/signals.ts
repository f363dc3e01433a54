/**
 * Handling of Ctrl-C, once and twice, and of the end of the shell that waits for this program.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";

/** Handlers of interrupts. */
export interface InterruptHandlers {
  readonly first: () => void;
  /** The second and each further time. */
  readonly again: () => void;
}

/**
 * Handles SIGINT and SIGTERM until it is disposed. CI systems send SIGINT and then
 * SIGTERM: either one counts as the second.
 */
export function onInterrupt({ first, again }: InterruptHandlers): Disposable {
  let count = 0;
  const handle = () => ++count === 1 ? first() : again();
  Deno.addSignalListener("SIGINT", handle);
  Deno.addSignalListener("SIGTERM", handle);
  return {
    [Symbol.dispose]() {
      Deno.removeSignalListener("SIGINT", handle);
      Deno.removeSignalListener("SIGTERM", handle);
    },
  };
}

/** Signals that a shell ignores for a program in the background, as bits of `SigIgn`. */
const HANGUP_OR_INTERRUPT = 0b11;
const PARENT_LOOK_MS = 1_000;

/**
 * Returns the process that waits for this one, such as the shell of a CI step; `undefined` for a
 * program in the background, which outlives it, and where the kernel does not tell. Call this before
 * {@linkcode onInterrupt}.
 */
export function waitingParent(): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  const status = Deno.readTextFileSync("/proc/self/status");
  const ignored = Number.parseInt(/^SigIgn:\s+[0-9a-f]*([0-9a-f])$/m.exec(status)?.[1] ?? "0", 16);
  return (ignored & HANGUP_OR_INTERRUPT) === 0 ? Deno.ppid : undefined;
}

/** Resolves once the parent has ended; rejects with the signal's reason. */
export async function parentEnded(
  parent: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  while (Deno.ppid === parent) await clock.sleep(PARENT_LOOK_MS, { signal });
}
