/**
 * The port to the parts that answer messages of the console.
 *
 * @module
 */

/** Takes messages of the console that begin work on the machine. */
export interface ConsoleHandler {
  /** The types that it takes. */
  readonly types: readonly string[];
  /** Something of it would end with the connection: that is not renewed meanwhile. */
  readonly needsConnection: boolean;
  /** Handles a message; called in the order in which they came. */
  handle(
    message: { readonly type: string; readonly payload: unknown },
    channel: ConsoleChannel,
  ): Promise<void>;
  /**
   * The link has ended, or is about to: ends what depends on it, and sends what that owes.
   *
   * @param isFinal No other link follows: what could be answered over that ends too.
   */
  close(reason: string, signal: AbortSignal, isFinal: boolean): Promise<void>;
}

/** The way back to the console, as long as one link lasts. */
export interface ConsoleChannel {
  /** Sends a message; what is for a link that has ended is dropped, or kept, by its type. */
  send(type: string, payload: Record<string, unknown>): void;
  /** Bytes that the console has not taken yet. */
  readonly bufferedBytes: number;
  /** Resolves when more may be sent; rejects when the link has ended. */
  drained(signal: AbortSignal): Promise<void>;
}
