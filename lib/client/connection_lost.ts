/**
 * The failure that trying again can heal.
 *
 * @module
 */
import { CicdError, type CicdErrorOptions } from "@lib/core/errors.ts";

/** Options for {@linkcode ConnectionLostError}. */
export interface ConnectionLostOptions extends CicdErrorOptions {
  /** Whether the request may have reached the runner. */
  readonly sent: boolean;
}

/** The runner is away: what it would have answered is not known. */
export class ConnectionLostError extends CicdError {
  /** Whether the request may have reached the runner. */
  readonly sent: boolean;

  constructor(message: string, options: ConnectionLostOptions) {
    super("runner_unavailable", message, options);
    this.sent = options.sent;
  }
}
