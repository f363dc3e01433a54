/**
 * Refused requests of the console, for the journal and the status.
 *
 * @module
 */
import type { Logger } from "@lib/core/logger.ts";

/** Different reasons that are worth a line of the journal. */
const MAX_REASONS = 64;

/** Counts refusals; each reason is in the journal once. */
export class Refusals {
  readonly #log: Logger;
  readonly #reasons = new Set<string>();
  count = 0;
  /** The reason of the last one. */
  last: string | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Notes one. */
  add(type: string, reason: string): void {
    this.count++;
    this.last = reason;
    if (this.#reasons.size >= MAX_REASONS || this.#reasons.has(reason)) return;
    this.#reasons.add(reason);
    this.#log.warning("Refused what the console asked for", { type, reason });
  }
}
