/**
 * Demultiplexes the stream in which an engine sends stdout and stderr.
 *
 * Each frame is a header of 8 bytes, the stream's number, three zeros and the length (big endian),
 * and then the payload. Parts of a frame are passed on as they arrive, so nothing is buffered. Each
 * frame is one record of the engine's log; if asked to, the engine puts the time of the record and a
 * space before its payload.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/** An output stream of a container. */
export type ContainerStream = "stdout" | "stderr";

const HEADER_BYTES = 8;
/** Longest time of a record: nanoseconds, and a time zone. */
const STAMP_MAX_BYTES = 40;
const SPACE = 0x20;

/**
 * Called at the begin of each record of a stream with times.
 *
 * @param length Bytes of the payload.
 * @param stamp The time as the engine writes it; valid until the next call.
 */
export type RecordListener = (stream: ContainerStream, length: number, stamp: Uint8Array) => void;

/** Demultiplexes one stream, chunk by chunk. */
export class Demultiplexer {
  /** Set: the stream has times. */
  readonly #onRecord: RecordListener | undefined;
  readonly #stamp = new Uint8Array(STAMP_MAX_BYTES);
  #stampBytes = 0;
  #inStamp = false;
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  #headerBytes = 0;
  #stream: ContainerStream = "stdout";
  /** Bytes of the frame that are still to come. */
  #left = 0;

  /** @param onRecord Called for each record; the stream has times then. */
  constructor(onRecord?: RecordListener) {
    this.#onRecord = onRecord;
  }

  /**
   * Demultiplexes a chunk.
   *
   * @param sink Called for each part, in order; the bytes are a view of the chunk.
   * @throws {CicdError} `io_failed` if the stream does not consist of frames.
   */
  take(chunk: Uint8Array, sink: (stream: ContainerStream, bytes: Uint8Array) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#inStamp) {
        at += this.#takeStamp(chunk.subarray(at, at + this.#left));
        continue;
      }
      if (this.#left > 0) {
        const bytes = chunk.subarray(at, at + this.#left);
        at += bytes.length;
        this.#left -= bytes.length;
        sink(this.#stream, bytes);
        continue;
      }
      const part = chunk.subarray(at, at + HEADER_BYTES - this.#headerBytes);
      this.#header.set(part, this.#headerBytes);
      this.#headerBytes += part.length;
      at += part.length;
      if (this.#headerBytes < HEADER_BYTES) return;
      this.#headerBytes = 0;
      this.#stream = streamOf(this.#header);
      this.#left = this.#view.getUint32(4);
      this.#inStamp = this.#onRecord !== undefined;
      this.#stampBytes = 0;
    }
  }

  /** @throws {CicdError} `io_failed` if the stream ended within a frame. */
  end(): void {
    if (this.#left > 0 || this.#headerBytes > 0) throw broken("it ends within a frame");
  }

  /** Takes a part of a record's time; returns how many bytes. */
  #takeStamp(rest: Uint8Array): number {
    const part = rest.subarray(0, STAMP_MAX_BYTES - this.#stampBytes);
    const end = part.indexOf(SPACE);
    const stamp = end === -1 ? part : part.subarray(0, end);
    const taken = end === -1 ? part.length : end + 1;
    this.#stamp.set(stamp, this.#stampBytes);
    this.#stampBytes += stamp.length;
    this.#left -= taken;
    if (end !== -1) {
      this.#inStamp = false;
      this.#onRecord?.(this.#stream, this.#left, this.#stamp.subarray(0, this.#stampBytes));
    } else if (this.#left === 0 || this.#stampBytes === STAMP_MAX_BYTES) {
      throw broken("a record has no time");
    }
    return taken;
  }
}

function streamOf(header: Uint8Array): ContainerStream {
  if (header[1] === 0 && header[2] === 0 && header[3] === 0) {
    // 0 is stdin, which engines also use for stdout.
    if (header[0] === 0 || header[0] === 1) return "stdout";
    if (header[0] === 2) return "stderr";
  }
  throw broken("invalid frame header");
}

function broken(why: string): CicdError {
  return new CicdError("io_failed", `Cannot read the container's output: ${why}`);
}
