/**
 * An open regular file, read piece by piece.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { closeSync, read, type Stats } from "node:fs";

/** A part of a file. */
export interface FilePart {
  /** Offset of the first byte. @default {0} */
  readonly from?: number;
  /** Offset after the last byte. @default {Infinity} */
  readonly to?: number;
}

const CHUNK_BYTES = 256 * 1024;

/** A file opened for reading, by its descriptor: renaming or replacing it has no effect. */
export class FileReader implements Disposable {
  #fd: number | undefined;
  /** Size in bytes when it was opened. */
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
  /** Number of hard links. */
  readonly links: number;
  /** True if it belongs to this account. */
  readonly isOwn: boolean;
  /** Unique to the file. */
  readonly identity: string;

  constructor(fd: number, { size, mode, nlink, uid, dev, ino }: Stats) {
    this.#fd = fd;
    this.size = size;
    this.mode = mode & 0o777;
    this.links = nlink;
    this.isOwn = uid === Deno.uid();
    this.identity = `${dev}:${ino}`;
  }

  /**
   * Yields the current bytes, in pieces of at most 256 KiB; pull-based. A piece is valid until the
   * next one is requested.
   */
  async *chunks(signal: AbortSignal, { from = 0, to = Infinity }: FilePart = {}) {
    const buffer = new Uint8Array(Math.max(1, Math.min(CHUNK_BYTES, to - from)));
    for (let at = from; at < to;) {
      signal.throwIfAborted();
      const count = await this.#read(buffer.subarray(0, Math.min(buffer.length, to - at)), at);
      if (count === 0) return;
      at += count;
      yield buffer.subarray(0, count);
    }
  }

  /** Returns the SHA-256 of the first {@linkcode FileReader.size} bytes, in hex. */
  async sha256(signal: AbortSignal): Promise<string> {
    const hash = createHash("sha256");
    for await (const chunk of this.chunks(signal, { to: this.size })) hash.update(chunk);
    return hash.digest("hex");
  }

  [Symbol.dispose](): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }

  #read(into: Uint8Array, at: number): Promise<number> {
    const fd = this.#fd;
    if (fd === undefined) throw new TypeError("The file is closed");
    return new Promise((resolve, reject) => {
      read(fd, into, 0, into.length, at, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  }
}
