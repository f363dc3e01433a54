/**
 * The last step of reading a log: chunks as readers get them, with or without times, and the offset
 * they reach.
 *
 * @module
 */
import { type Clock, toRfc3339 } from "@lib/core/clock.ts";
import { LOG_CHUNK_BYTES } from "@lib/spine/logs/log_cursor.ts";
import { endOfView } from "@lib/spine/logs/log_index.ts";
import { type LogIndexFile, type LogView, openLogIndex } from "@lib/spine/logs/log_index_file.ts";
import type { LogSource } from "@lib/spine/logs/log_source.ts";

const NEWLINE = 10;
/** Bytes of `2026-01-02T03:04:05.678Z `, the same for every time from year 0 to 9999. */
const PREFIX_BYTES = 25;

/** The output of reading one log. */
export class LogOutput {
  readonly #stamper: LineStamper | undefined;
  #offset: number;
  /** The byte before the next one ends a line. */
  atLineStart = true;

  /** @param options.from Offset of the first byte. */
  constructor({ from, timestamps }: { readonly from: number; readonly timestamps: boolean }) {
    this.#offset = from;
    if (timestamps) this.#stamper = new LineStamper(LOG_CHUNK_BYTES);
  }

  /** The end of the last chunk in the job's log. */
  get offset(): number {
    return this.#offset;
  }

  /**
   * Outputs bytes of the log.
   *
   * @param at Where the chunk begins in its attempt's view.
   */
  *put(chunk: Uint8Array, at: number, times: LogTimes | undefined): Generator<Uint8Array> {
    if (chunk.length === 0) return;
    const start = this.#offset;
    if (this.#stamper === undefined || times === undefined) {
      this.#offset = start + chunk.length;
      this.atLineStart = chunk[chunk.length - 1] === NEWLINE;
      yield chunk;
      return;
    }
    times.refresh();
    this.#stamper.atLineStart = this.atLineStart;
    for (const piece of this.#stamper.stamp(chunk, (place) => times.timeAt(at + place))) {
      this.#offset = start + piece.consumed;
      this.atLineStart = this.#stamper.atLineStart;
      yield piece.bytes;
    }
  }

  /** Outputs a line that offsets do not count. */
  *note(line: string, timeMs: number | undefined): Generator<Uint8Array> {
    yield* this.endLine();
    const bytes = new TextEncoder().encode(line);
    if (this.#stamper === undefined || timeMs === undefined) return yield bytes;
    this.#stamper.atLineStart = true;
    for (const piece of this.#stamper.stamp(bytes, () => timeMs)) yield piece.bytes;
  }

  /** Ends an unfinished line; offsets do not count the line break. */
  *endLine(): Generator<Uint8Array> {
    if (!this.atLineStart) yield new Uint8Array([NEWLINE]);
    this.atLineStart = true;
  }
}

/** A piece of stamped text. */
interface StampedPiece {
  readonly bytes: Uint8Array;
  /** Bytes of the unstamped chunk that this and the earlier pieces stand for. */
  readonly consumed: number;
}

/** Puts the time before each line of a text, chunk by chunk; a line across chunks gets one stamp. */
export class LineStamper {
  /** The next byte begins a line. */
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
   * @param timeAt Returns the time of the line that begins at a byte of the chunk, in milliseconds
   * since the epoch; called in ascending order.
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

  /** Allocates room for the rest of the chunk with its stamps, or for one piece of it. */
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

/** The arrival times of the bytes of one view, for offsets in ascending order. */
export class LogTimes implements Disposable {
  readonly #source: LogSource;
  readonly #view: LogView;
  readonly #clock: Clock;
  #index: LogIndexFile | undefined;
  #number: number | undefined;
  #fallbackMs: number | undefined;

  constructor(source: LogSource, view: LogView, clock: Clock) {
    this.#source = source;
    this.#view = view;
    this.#clock = clock;
  }

  /** Makes the next call read the index again, as it may have grown. */
  refresh(): void {
    this.#fallbackMs = undefined;
  }

  /**
   * Returns the time at which the byte at `offset` was seen, in milliseconds since the epoch.
   *
   * Beyond the index it is the present, or the last write to the log of a settled attempt.
   */
  timeAt(offset: number): number {
    return this.#fallbackMs ?? this.#indexed(offset) ?? (this.#fallbackMs = this.#fallback());
  }

  [Symbol.dispose](): void {
    this.#index?.[Symbol.dispose]();
  }

  #indexed(offset: number): number | undefined {
    this.#index ??= openLogIndex(this.#source.directory.logIndex);
    if (this.#index === undefined) return undefined;
    this.#number ??= this.#index.find(this.#view, offset, this.#index.validCount());
    for (;; this.#number++) {
      const record = this.#index.at(this.#number);
      if (record === undefined) return undefined;
      if (endOfView(record, this.#view) > offset) return record.timeMs;
    }
  }

  #fallback(): number {
    if (!this.#source.settled) return this.#clock.now();
    const path = this.#source.directory.logFile(this.#view === "all" ? "stdout" : this.#view);
    try {
      return Deno.statSync(path).mtime?.getTime() ?? this.#clock.now();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return this.#clock.now();
      throw error;
    }
  }
}
