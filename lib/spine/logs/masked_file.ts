/**
 * Reads one log file from an offset on, with its secrets masked.
 *
 * @module
 */
import { Redactor, type SecretPatterns } from "@lib/foundations/secrets/redactor.ts";

/** Bytes read at once. */
export const LOG_CHUNK_BYTES = 64 * 1024;

/** How far a {@linkcode MaskedFile} may read. */
export interface ReadBounds {
  /** No byte from here on is looked at. */
  readonly limit: number;
  /**
   * What the end of the file, or the limit, means: more may come, the text
   * ends there, or it is cut off there and a secret with it.
   */
  readonly end: "more" | "complete" | "cut";
}

/** A position in a log file; a file that does not exist is an empty one. */
export class MaskedFile implements Disposable {
  readonly #path: string;
  readonly #redactor: Redactor;
  readonly #buffer = new Uint8Array(LOG_CHUNK_BYTES);
  #file: Deno.FsFile | undefined;
  /** The next byte to be read from the file. */
  #readAt: number;
  /** Bytes before the wanted offset that are yet to come out of the redactor. */
  #skip: number;
  #ready = new Uint8Array(0);
  #flushed = false;

  constructor(path: string, patterns: SecretPatterns, from: number) {
    this.#path = path;
    this.#redactor = new Redactor(patterns);
    this.#skip = Math.min(from, patterns.maxLookbehind);
    this.#readAt = from - this.#skip;
  }

  /**
   * The next masked bytes, 1 to `max` of them; none if there are none now.
   *
   * After a call with another `end` than `more` came back empty, the reading
   * is over.
   */
  async take(max: number, bounds: ReadBounds): Promise<Uint8Array> {
    while (this.#ready.length === 0) {
      if (this.#flushed) return this.#ready;
      const chunk = await this.#read(bounds.limit);
      if (chunk.length > 0) this.#deliver(this.#redactor.push(chunk));
      else if (bounds.end === "more") return this.#ready;
      else {
        this.#flushed = true;
        this.#deliver(this.#redactor.flush(bounds.end));
      }
    }
    const taken = this.#ready.subarray(0, max);
    this.#ready = this.#ready.subarray(taken.length);
    return taken;
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #deliver(bytes: Uint8Array<ArrayBuffer>): void {
    const dropped = Math.min(this.#skip, bytes.length);
    this.#skip -= dropped;
    this.#ready = bytes.subarray(dropped);
  }

  async #read(limit: number): Promise<Uint8Array> {
    const wanted = Math.min(this.#buffer.length, limit - this.#readAt);
    if (wanted <= 0) return new Uint8Array(0);
    this.#file ??= await this.#open();
    const count = await this.#file?.read(this.#buffer.subarray(0, wanted)) ?? 0;
    this.#readAt += count;
    return this.#buffer.subarray(0, count);
  }

  async #open(): Promise<Deno.FsFile | undefined> {
    try {
      const file = await Deno.open(this.#path, { read: true });
      await file.seek(this.#readAt, Deno.SeekMode.Start);
      return file;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }
}
