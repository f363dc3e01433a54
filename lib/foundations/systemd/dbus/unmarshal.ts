/**
 * Bytes to D-Bus values, as in "Marshaling" of the D-Bus specification.
 *
 * @module
 */
import {
  alignmentOf,
  type BasicCode,
  type DBusType,
  type DBusValue,
  isObjectPath,
  MAX_ARRAY_BYTES,
  MAX_DEPTH,
  NUMBERS,
  parseSignature,
  parseSingleSignature,
} from "@lib/foundations/systemd/dbus/types.ts";

/**
 * Reads values that begin at a multiple of 8 bytes.
 *
 * @returns The values, and the number of bytes consumed.
 * @throws {SyntaxError | TypeError | RangeError} If the bytes do not match
 * `signature`, or end too early.
 */
export function unmarshal(
  signature: string,
  bytes: Uint8Array,
  options: { readonly littleEndian?: boolean } = {},
): { readonly values: readonly DBusValue[]; readonly length: number } {
  const reader = new Reader(bytes, options.littleEndian ?? true);
  const values = parseSignature(signature).map((type) => reader.read(type, 0));
  return { values, length: reader.offset };
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  offset = 0;

  constructor(bytes: Uint8Array, littleEndian: boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#littleEndian = littleEndian;
  }

  read(type: DBusType, depth: number): DBusValue {
    if (depth > MAX_DEPTH) throw new RangeError("Cannot read value: it nests deeper than 64");
    switch (type.kind) {
      case "basic":
        return this.#basic(type.code);
      case "variant": {
        const signature = this.#signature();
        return { signature, value: this.read(parseSingleSignature(signature), depth + 1) };
      }
      case "struct":
        this.#align(8);
        return type.fields.map((field) => this.read(field, depth + 1));
      case "array": {
        const end = this.#arrayEnd(alignmentOf(type.element));
        if (type.element.kind === "basic" && type.element.code === "y") {
          return this.#take(end - this.offset).slice();
        }
        const items: DBusValue[] = [];
        while (this.offset < end) items.push(this.read(type.element, depth + 1));
        return this.#endsAt(end, items);
      }
      case "dict": {
        const end = this.#arrayEnd(8);
        const entries = new Map<DBusValue, DBusValue>();
        while (this.offset < end) {
          this.#align(8);
          const key = this.read(type.key, depth + 1);
          entries.set(key, this.read(type.value, depth + 1));
        }
        return this.#endsAt(end, entries);
      }
      default:
        return type satisfies never;
    }
  }

  #basic(code: BasicCode): DBusValue {
    switch (code) {
      case "x":
        return this.#view.getBigInt64(this.#at(8), this.#littleEndian);
      case "t":
        return this.#view.getBigUint64(this.#at(8), this.#littleEndian);
      case "d":
        return this.#view.getFloat64(this.#at(8), this.#littleEndian);
      case "b": {
        const value = this.#number("u");
        if (value > 1) throw new RangeError(`Cannot read boolean: its value is ${value}`);
        return value === 1;
      }
      case "g": {
        const signature = this.#signature();
        parseSignature(signature);
        return signature;
      }
      case "s":
        return this.#text(this.#number("u"));
      case "o": {
        const path = this.#text(this.#number("u"));
        if (!isObjectPath(path)) throw new TypeError("Cannot read object path: it is malformed");
        return path;
      }
      default:
        return this.#number(code);
    }
  }

  #number(code: keyof typeof NUMBERS): number {
    const { view, size } = NUMBERS[code];
    return this.#view[`get${view}`](this.#at(size), this.#littleEndian);
  }

  #signature(): string {
    return this.#text(this.#number("y"));
  }

  #text(length: number): string {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(this.#take(length));
    if (this.#number("y") !== 0 || text.includes("\0")) {
      throw new TypeError("Cannot read string: its NUL is not at its end");
    }
    return text;
  }

  #arrayEnd(elementAlignment: number): number {
    const length = this.#number("u");
    if (length > MAX_ARRAY_BYTES) throw new RangeError(`Cannot read array: ${length} bytes`);
    this.#align(elementAlignment);
    const end = this.offset + length;
    if (end > this.#bytes.length) throw new RangeError("Cannot read array: the message ends");
    return end;
  }

  #endsAt<T>(end: number, value: T): T {
    if (this.offset !== end) throw new RangeError("Cannot read array: its length is wrong");
    return value;
  }

  #take(length: number): Uint8Array {
    const end = this.offset + length;
    if (end > this.#bytes.length) throw new RangeError("Cannot read value: the message ends");
    const bytes = this.#bytes.subarray(this.offset, end);
    this.offset = end;
    return bytes;
  }

  /** Returns where a number of `size` bytes begins; the view checks the bounds. */
  #at(size: number): number {
    this.#align(size);
    const at = this.offset;
    this.offset += size;
    return at;
  }

  #align(alignment: number): void {
    const at = Math.ceil(this.offset / alignment) * alignment;
    for (let i = this.offset; i < at; i++) {
      if (this.#bytes[i] !== 0) throw new RangeError("Cannot read value: its padding is not zero");
    }
    this.offset = at;
  }
}
