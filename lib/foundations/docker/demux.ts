/**
 * Takes apart the stream in which an engine sends stdout and stderr together.
 *
 * Each frame is a header of 8 bytes, the stream's number, three zeros and the length (big endian),
 * and then the bytes. A frame is handed on in the pieces in which it arrives, so that nothing is
 * held however long it is.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/** What a container writes to. */
export type ContainerStream = "stdout" | "stderr";

const HEADER_BYTES = 8;

/** Takes the frames of one stream apart, chunk by chunk. */
export class Demultiplexer {
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  #headerBytes = 0;
  #stream: ContainerStream = "stdout";
  /** Bytes of the frame that have not come yet. */
  #left = 0;

  /**
   * Takes a chunk apart.
   *
   * @param sink Called for each piece, in order; the bytes are part of the chunk.
   * @throws {CicdError} `io_failed` if the stream is not made of frames.
   */
  take(chunk: Uint8Array, sink: (stream: ContainerStream, bytes: Uint8Array) => void): void {
    let at = 0;
    while (at < chunk.length) {
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
    }
  }

  /** @throws {CicdError} `io_failed` if the stream ended within a frame. */
  end(): void {
    if (this.#left > 0 || this.#headerBytes > 0) throw broken("it ends within a frame");
  }
}

function streamOf(header: Uint8Array): ContainerStream {
  if (header[1] === 0 && header[2] === 0 && header[3] === 0) {
    // 0 is stdin, which engines use for stdout too.
    if (header[0] === 0 || header[0] === 1) return "stdout";
    if (header[0] === 2) return "stderr";
  }
  throw broken("it is not made of frames");
}

function broken(why: string): CicdError {
  return new CicdError("io_failed", `Cannot read the container's output: ${why}`);
}
