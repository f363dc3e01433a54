/**
 * Puts the time before each line of a log.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";

const NEWLINE = 10;
/** Bytes of `2026-01-02T03:04:05.678Z `, the same for every time from year 0 to 9999. */
const PREFIX_BYTES = 25;

/** A piece of stamped text. */
export interface StampedPiece {
  readonly bytes: Uint8Array;
  /** Bytes of the unstamped chunk that this and the earlier pieces stand for. */
  readonly consumed: number;
}

/** Stamps one text, chunk by chunk; a line across chunks gets one stamp. */
export class LineStamper {
  /** Whether the next byte begins a line. */
  atLineStart = true;
  readonly #maxPieceBytes: number;
  #prefixMs = NaN;
  #prefix = new Uint8Array(0);

  /** @param maxPieceBytes Longest piece, in bytes; at least 64. */
  constructor(maxPieceBytes: number) {
    this.#maxPieceBytes = maxPieceBytes;
  }

  /**
   * Stamps the next chunk.
   *
   * @param timeAt The time of the line that begins at a byte of the chunk, in
   * milliseconds since the epoch; asked in ascending order.
   */
  *stamp(chunk: Uint8Array, timeAt: (place: number) => number): Generator<StampedPiece> {
    let out = this.#allocate(chunk, 0);
    let length = 0;
    let at = 0;
    while (at < chunk.length) {
      if (out.length - length <= PREFIX_BYTES) {
        yield { bytes: out.subarray(0, length), consumed: at };
        out = this.#allocate(chunk, at);
        length = 0;
      }
      if (this.atLineStart) {
        out.set(this.#prefixFor(timeAt(at)), length);
        length += PREFIX_BYTES;
      }
      const newline = chunk.indexOf(NEWLINE, at);
      const lineEnd = newline === -1 ? chunk.length : newline + 1;
      const part = chunk.subarray(at, Math.min(lineEnd, at + out.length - length));
      out.set(part, length);
      length += part.length;
      at += part.length;
      this.atLineStart = part[part.length - 1] === NEWLINE;
    }
    if (length > 0) yield { bytes: out.subarray(0, length), consumed: at };
  }

  /** Room for the rest of the chunk with its stamps, or for one piece of it. */
  #allocate(chunk: Uint8Array, from: number): Uint8Array {
    let room = chunk.length - from + 2 * PREFIX_BYTES;
    for (let at = from; at !== -1 && room < this.#maxPieceBytes; room += PREFIX_BYTES) {
      at = chunk.indexOf(NEWLINE, at);
      if (at !== -1) at++;
    }
    return new Uint8Array(Math.min(room, this.#maxPieceBytes));
  }

  #prefixFor(timeMs: number): Uint8Array {
    if (timeMs !== this.#prefixMs) {
      this.#prefixMs = timeMs;
      this.#prefix = new TextEncoder().encode(`${toRfc3339(timeMs)} `);
    }
    return this.#prefix;
  }
}
