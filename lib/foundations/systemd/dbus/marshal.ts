/**
 * D-Bus values to bytes, as in "Marshaling" of the D-Bus specification.
 *
 * @module
 */
import {
  alignmentOf,
  type BasicCode,
  type DBusType,
  type DBusValue,
  isList,
  isObjectPath,
  isVariant,
  MAX_ARRAY_BYTES,
  MAX_DEPTH,
  MAX_MESSAGE_BYTES,
  NUMBERS,
  parseSignature,
  parseSingleSignature,
} from "@lib/foundations/systemd/dbus/types.ts";

/**
 * Marshals values that begin at a multiple of 8 bytes.
 *
 * @throws {TypeError} If a value does not have its type in `signature`.
 * @throws {RangeError} If a value does not fit its type, or the whole a message.
 * @throws {SyntaxError} If `signature` is malformed.
 */
export function marshal(
  signature: string,
  values: readonly DBusValue[],
  options: { readonly littleEndian?: boolean } = {},
): Uint8Array<ArrayBuffer> {
  const types = parseSignature(signature);
  if (types.length !== values.length) {
    throw new TypeError(
      `Cannot marshal "${signature}": it has ${types.length} types for ${values.length} values`,
    );
  }
  const writer = new Writer(options.littleEndian ?? true);
  types.forEach((type, index) => writer.write(type, values[index], 0));
  return writer.bytes();
}

class Writer {
  #view = new DataView(new ArrayBuffer(256));
  #length = 0;
  readonly #littleEndian: boolean;

  constructor(littleEndian: boolean) {
    this.#littleEndian = littleEndian;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#view.buffer, 0, this.#length);
  }

  write(type: DBusType, value: DBusValue | undefined, depth: number): void {
    if (depth > MAX_DEPTH) throw new RangeError("Cannot marshal: values nest deeper than 64");
    switch (type.kind) {
      case "basic":
        return this.#basic(type.code, value);
      case "variant": {
        if (!isVariant(value)) throw mismatch("v", value);
        this.#signature(value.signature);
        return this.write(parseSingleSignature(value.signature), value.value, depth + 1);
      }
      case "struct": {
        if (!isList(value) || value.length !== type.fields.length) throw mismatch("struct", value);
        this.#reserve(8, 0);
        return type.fields.forEach((field, index) => this.write(field, value[index], depth + 1));
      }
      case "array": {
        const { element } = type;
        if (value instanceof Uint8Array) {
          if (element.kind !== "basic" || element.code !== "y") throw mismatch("array", value);
          return this.#array(1, () => this.#raw(value));
        }
        if (!isList(value)) throw mismatch("array", value);
        return this.#array(alignmentOf(element), () => {
          for (const item of value) this.write(element, item, depth + 1);
        });
      }
      case "dict": {
        if (!(value instanceof Map)) throw mismatch("dictionary", value);
        return this.#array(8, () => {
          for (const [key, item] of value) {
            this.#reserve(8, 0);
            this.write(type.key, key, depth + 1);
            this.write(type.value, item, depth + 1);
          }
        });
      }
      default:
        return type satisfies never;
    }
  }

  #basic(code: BasicCode, value: DBusValue | undefined): void {
    switch (code) {
      case "s":
      case "o": {
        if (typeof value !== "string") throw mismatch(code, value);
        if (value.includes("\0")) throw new RangeError("Cannot marshal string: it contains a NUL");
        if (!value.isWellFormed()) throw new RangeError("Cannot marshal string: it is not Unicode");
        if (code === "o" && !isObjectPath(value)) throw mismatch(code, value);
        const bytes = new TextEncoder().encode(value);
        this.#number("u", bytes.length);
        this.#raw(bytes);
        this.#reserve(1, 1);
        return;
      }
      case "g":
        if (typeof value !== "string") throw mismatch(code, value);
        parseSignature(value);
        return this.#signature(value);
      case "b":
        if (typeof value !== "boolean") throw mismatch(code, value);
        return this.#number("u", value ? 1 : 0);
      case "d": {
        if (typeof value !== "number") throw mismatch(code, value);
        const at = this.#reserve(8, 8);
        return this.#view.setFloat64(at, value, this.#littleEndian);
      }
      case "x":
      case "t": {
        if (typeof value !== "bigint") throw mismatch(code, value);
        const fitted = code === "x" ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value);
        if (fitted !== value) throw outOfRange(code, value);
        const at = this.#reserve(8, 8);
        // The bits of a negative number are those of its counterpart without a sign.
        return this.#view.setBigUint64(at, value, this.#littleEndian);
      }
      default:
        return this.#number(code, value);
    }
  }

  #number(code: keyof typeof NUMBERS, value: DBusValue | undefined): void {
    if (typeof value !== "number") throw mismatch(code, value);
    const { view, size, min, max } = NUMBERS[code];
    if (!Number.isInteger(value) || value < min || value > max) throw outOfRange(code, value);
    // Reserved before the view is taken: making room may replace it.
    const at = this.#reserve(size, size);
    this.#view[`set${view}`](at, value, this.#littleEndian);
  }

  #signature(signature: string): void {
    this.#number("y", signature.length);
    this.#raw(new TextEncoder().encode(signature));
    this.#reserve(1, 1);
  }

  /** The length of an array excludes itself and the padding before the first element. */
  #array(elementAlignment: number, writeElements: () => void): void {
    const lengthAt = this.#reserve(4, 4);
    const start = this.#reserve(elementAlignment, 0);
    writeElements();
    const length = this.#length - start;
    if (length > MAX_ARRAY_BYTES) throw new RangeError(`Cannot marshal array: ${length} bytes`);
    this.#view.setUint32(lengthAt, length, this.#littleEndian);
  }

  #raw(bytes: Uint8Array): void {
    const at = this.#reserve(1, bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
  }

  /** Pads with zeros, makes room for `size` bytes, and returns where they begin. */
  #reserve(alignment: number, size: number): number {
    const at = Math.ceil(this.#length / alignment) * alignment;
    const needed = at + size;
    if (needed > MAX_MESSAGE_BYTES) throw new RangeError("Cannot marshal: more than 128 MiB");
    if (needed > this.#view.byteLength) {
      const grown = new ArrayBuffer(Math.max(needed, this.#view.byteLength * 2));
      new Uint8Array(grown).set(new Uint8Array(this.#view.buffer));
      this.#view = new DataView(grown);
    }
    this.#length = needed;
    return at;
  }
}

function mismatch(type: string, value: DBusValue | undefined): TypeError {
  const actual = value === undefined ? "missing" : typeof value;
  return new TypeError(`Cannot marshal value as "${type}": the value is ${actual}`);
}

function outOfRange(code: string, value: number | bigint): RangeError {
  return new RangeError(`Cannot marshal ${value} as "${code}": it does not fit`);
}
