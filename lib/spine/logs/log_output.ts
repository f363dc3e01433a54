/**
 * The last step of reading a log: chunks as they are handed out, with or
 * without times, and how far they reach.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { LineStamper } from "@lib/spine/logs/line_stamper.ts";
import type { LogTimes } from "@lib/spine/logs/log_times.ts";
import { LOG_CHUNK_BYTES } from "@lib/spine/logs/masked_file.ts";

const NEWLINE = 10;

/** Options for {@linkcode LogOutput}. */
export interface LogOutputOptions {
  /** Offset of the first byte to be handed out. */
  readonly from: number;
  /** Present if each line is to begin with its time. */
  readonly timestamps: Clock | undefined;
}

/** What has been handed out of one log. */
export class LogOutput {
  readonly #stamper: LineStamper | undefined;
  readonly #clock: Clock | undefined;
  #offset: number;
  #atLineStart = true;

  constructor(options: LogOutputOptions) {
    this.#offset = options.from;
    this.#clock = options.timestamps;
    if (this.#clock !== undefined) this.#stamper = new LineStamper(LOG_CHUNK_BYTES);
  }

  /** In the job's log: where the chunk handed out last ended. */
  get offset(): number {
    return this.#offset;
  }

  /** Says whether the byte before the next one ends a line. */
  set atLineStart(value: boolean) {
    this.#atLineStart = value;
  }

  /** Whether each line begins with its time. */
  get clock(): Clock | undefined {
    return this.#clock;
  }

  /**
   * Hands out bytes of the log.
   *
   * @param at Where the chunk begins in its attempt's view.
   */
  *put(chunk: Uint8Array, at: number, times: LogTimes | undefined): Generator<Uint8Array> {
    if (chunk.length === 0) return;
    const start = this.#offset;
    if (this.#stamper === undefined || times === undefined) {
      this.#offset = start + chunk.length;
      this.#atLineStart = chunk[chunk.length - 1] === NEWLINE;
      yield chunk;
      return;
    }
    times.refresh();
    this.#stamper.atLineStart = this.#atLineStart;
    for (const piece of this.#stamper.stamp(chunk, (place) => times.timeAt(at + place))) {
      this.#offset = start + piece.consumed;
      this.#atLineStart = this.#stamper.atLineStart;
      yield piece.bytes;
    }
  }

  /** Hands out a line that has no place in the log's offsets. */
  *note(line: string, timeMs: number | undefined): Generator<Uint8Array> {
    yield* this.endLine();
    const bytes = new TextEncoder().encode(line);
    if (this.#stamper === undefined || timeMs === undefined) return yield bytes;
    this.#stamper.atLineStart = true;
    for (const piece of this.#stamper.stamp(bytes, () => timeMs)) yield piece.bytes;
  }

  /** Ends a line that was left open, outside the log's offsets. */
  *endLine(): Generator<Uint8Array> {
    if (!this.#atLineStart) yield new Uint8Array([NEWLINE]);
    this.#atLineStart = true;
  }
}
