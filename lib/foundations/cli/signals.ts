/**
 * Handling of Ctrl-C, once and twice.
 *
 * @module
 */

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
