/**
 * Shortens the long strings of JSON documents in a stream.
 *
 * The results of a pipeline hold all that its steps printed, in strings; what decides about them is
 * short.
 *
 * @module
 */

/** Longest string that is kept, in bytes. */
const STRING_MAX_BYTES = 1_024;
const [NEWLINE, QUOTE, BACKSLASH, BRACE, U] = [10, 34, 92, 123, 117];

/** Shortens strings in the lines from one that begins with `{` on; valid JSON stays valid. */
export class StringShortener {
  #state: "text" | "document" | "string" = "text";
  #atLineStart = true;
  /** Bytes that are left of an escape sequence. */
  #escape = 0;
  #length = 0;

  push(chunk: Uint8Array): Uint8Array {
    const kept = new Uint8Array(chunk.length);
    let length = 0;
    for (const byte of chunk) {
      if (this.#keeps(byte)) kept[length++] = byte;
    }
    return kept.subarray(0, length);
  }

  #keeps(byte: number): boolean {
    const atLineStart = this.#atLineStart;
    this.#atLineStart = byte === NEWLINE;
    if (this.#state === "string") return this.#keepsOfString(byte);
    if (byte === BRACE && atLineStart) this.#state = "document";
    else if (byte === QUOTE && this.#state === "document") {
      this.#state = "string";
      this.#escape = 0;
      this.#length = 0;
    }
    return true;
  }

  #keepsOfString(byte: number): boolean {
    // A line break is not JSON.
    if (byte === NEWLINE) this.#state = "text";
    if (byte === NEWLINE || (byte === QUOTE && this.#escape === 0)) {
      if (byte === QUOTE) this.#state = "document";
      return true;
    }
    const isWithin = this.#escape > 0;
    if (isWithin) this.#escape = this.#escape === 5 ? (byte === U ? 4 : 0) : this.#escape - 1;
    else if (byte === BACKSLASH) this.#escape = 5;
    // An escape sequence is kept whole.
    if (!isWithin && this.#length >= STRING_MAX_BYTES) this.#length = Infinity;
    return ++this.#length < Infinity;
  }
}
