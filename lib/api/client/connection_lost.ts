/**
 * The failure that trying again can heal.
 *
 * @module
 */
import { CicdError, type CicdErrorOptions } from "@lib/core/errors.ts";

/** Options for {@linkcode ConnectionLostError}. */
export interface ConnectionLostOptions extends CicdErrorOptions {
  /** Whether somebody listens on the socket: the request may have arrived. */
  readonly isListening: boolean;
}

/** The runner is away: what it would have answered is not known. */
export class ConnectionLostError extends CicdError {
  /** Whether somebody listens on the socket: the request may have arrived. */
  readonly isListening: boolean;

  constructor(message: string, options: ConnectionLostOptions) {
    super("runner_unavailable", message, options);
    this.isListening = options.isListening;
  }
}
