/**
 * Counts the answers that clients wait for, so that a runner that ends can leave them time.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";

/** Answers that are waited for now. */
export class WaitingAnswers {
  #count = 0;
  #given = Promise.withResolvers<void>();

  /** Counts one more until it is disposed. */
  begin(): Disposable {
    this.#count++;
    return {
      [Symbol.dispose]: () => {
        this.#count--;
        if (this.#count > 0) return;
        this.#given.resolve();
        this.#given = Promise.withResolvers();
      },
    };
  }

  /** Resolves when none is waited for; rejects with the signal's reason. */
  async given(signal: AbortSignal): Promise<void> {
    while (this.#count > 0) await raceAbort(this.#given.promise, signal);
  }
}
