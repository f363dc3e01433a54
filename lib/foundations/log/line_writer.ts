/**
 * Writes lines to a stream that may be slow, without ever waiting for it.
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** A queue of lines to a stream. */
export interface LineWriter extends AsyncDisposable {
  /** Queues a line without its line feed; never throws or waits. */
  write(line: string): void;
  /** Resolves when the queued lines are written, or cannot be. */
  flush(): Promise<void>;
}

/** Options for {@linkcode openLineWriter}. */
export interface LineWriterOptions {
  /** Writes some of the bytes and returns their number, as `Deno.stderr.write`. */
  readonly write: (bytes: Uint8Array) => Promise<number>;
  /** Longest queue; further lines are dropped and counted. @default {1 MiB} */
  readonly maxBytes?: number;
  /** How long disposing waits for the stream. @default {1000} */
  readonly flushMs?: number;
}

/** Opens a writer over a stream; after a failed write it drops everything. */
export function openLineWriter(options: LineWriterOptions): LineWriter {
  const { write, maxBytes = 1024 * 1024, flushMs = 1_000 } = options;
  const encoder = new TextEncoder();
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let dropped = 0;
  let broken = false;
  let draining: Promise<void> | undefined;

  const drain = async (): Promise<void> => {
    try {
      // Batches lines written in the same turn.
      await undefined;
      while (waiting.length > 0) {
        const batch = Buffer.concat(waiting);
        waiting = [];
        for (let at = 0; at < batch.byteLength;) {
          const written = await write(batch.subarray(at));
          if (!(written > 0)) throw new Error("The stream takes nothing more");
          at += written;
        }
        waitingBytes -= batch.byteLength;
        if (dropped > 0) push(`(${dropped} messages were dropped: the output is too slow)`);
        dropped = 0;
      }
    } catch {
      // There is nowhere left to report it.
      broken = true;
      waiting = [];
    } finally {
      draining = undefined;
    }
  };
  const push = (line: string): void => {
    const bytes = encoder.encode(`${line}\n`);
    waiting.push(bytes);
    waitingBytes += bytes.byteLength;
  };
  const flush = async (): Promise<void> => {
    while (draining !== undefined) await draining;
  };

  return {
    write(line) {
      if (broken) return;
      if (waitingBytes + line.length > maxBytes) {
        dropped++;
        return;
      }
      push(line);
      draining ??= drain();
    },
    flush,
    async [Symbol.asyncDispose]() {
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, flushMs);
      await Promise.race([flush(), late.promise]);
      clearTimeout(timer);
      broken = true;
    },
  };
}
