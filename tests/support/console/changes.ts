/**
 * Waiting for what a peer does.
 *
 * @module
 */

const PATIENCE_MS = 20_000;

/** Wakes those that wait, whenever something has changed. */
export class Changes {
  #next = Promise.withResolvers<void>();

  /** Says that something has changed. */
  notify(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers<void>();
  }

  /**
   * Waits until a check returns something.
   *
   * @throws {Error} If it has not within the patience; names what was waited for.
   */
  async until<T>(
    what: string,
    check: () => T | undefined | false,
    patienceMs = PATIENCE_MS,
  ): Promise<T> {
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), patienceMs);
    try {
      while (true) {
        const next = this.#next.promise;
        const found = check();
        if (found !== undefined && found !== false) return found;
        if (await Promise.race([next, late.promise]) === "late") {
          throw new Error(`Waited ${patienceMs} ms in vain: ${what}`);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
