/**
 * What waits to be written to the bus.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { type ByteStream, writeAll } from "@lib/foundations/systemd/dbus/stream.ts";

/** Bytes that may wait, unless one message alone is longer. */
const MAX_QUEUED_BYTES = 33_554_432;

/** Writes messages whole and in order, one writer for all senders. */
export class Outbox {
  #queue: Uint8Array[] = [];
  #bytes = 0;
  #closed = false;
  #wake: (() => void) | undefined;

  /**
   * Queues a message.
   *
   * @throws {CicdError} `systemd_unavailable` if too much waits already.
   */
  push(message: Uint8Array): void {
    if (this.#bytes > 0 && this.#bytes + message.length > MAX_QUEUED_BYTES) {
      throw new CicdError(
        "systemd_unavailable",
        `Cannot send to the user's bus: ${this.#bytes} bytes wait already`,
      );
    }
    this.#queue.push(message);
    this.#bytes += message.length;
    this.#wake?.();
  }

  /** Writes what is queued until {@linkcode Outbox.close}. */
  async run(stream: ByteStream): Promise<void> {
    while (!this.#closed) {
      const message = this.#queue.shift();
      if (message !== undefined) {
        await writeAll(stream, message);
        this.#bytes -= message.length;
        continue;
      }
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await woken.promise;
    }
  }

  /** Drops what waits and ends {@linkcode Outbox.run}. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#wake?.();
  }
}
