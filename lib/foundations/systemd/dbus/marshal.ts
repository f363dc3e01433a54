/**
 * D-Bus values to bytes, as in "Marshaling" of the D-Bus specification.
 *
 * @module
 */
import {
  alignmentOf,
  type BasicCode,
  type DBusType,
  parseSignature,
  parseSingleSignature,
} from "@lib/foundations/systemd/dbus/signature.ts";
import {
  type DBusValue,
  isList,
  isObjectPath,
  isVariant,
  MAX_ARRAY_BYTES,
  MAX_DEPTH,
  MAX_MESSAGE_BYTES,
} from "@lib/foundations/systemd/dbus/wire.ts";

const INTEGER_RANGES = {
  y: [0, 0xff],
  n: [-0x8000, 0x7fff],
  q: [0, 0xffff],
  i: [-0x8000_0000, 0x7fff_ffff],
  u: [0, 0xffff_ffff],
  h: [0, 0xffff_ffff],
} as const;

/**
 * Marshals values that begin at a multiple of 8 bytes.
 *
 * @throws {TypeError} If a value is not of its type in `signature`.
 * @throws {RangeError} If a value does not fit its type, or the whole a message.
 * @throws {SyntaxError} If `signature` is no signature.
 */
export function marshal(
  signature: string,
  values: readonly DBusValue[],
  options: { readonly littleEndian?: boolean } = {},
): Uint8Array<ArrayBuffer> {
  const types = parseSignature(signature);
  if (types.length !== values.length) {
    throw new TypeError(
      `Cannot marshal "${signature}": it has ${types.length} types, given were ${values.length}`,
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
        this.#align(8);
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
            this.#align(8);
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
        if (value.includes("\0")) throw new RangeError("Cannot marshal string: it holds a NUL");
        if (!value.isWellFormed()) throw new RangeError("Cannot marshal string: it is no Unicode");
        if (code === "o" && !isObjectPath(value)) throw mismatch(code, value);
        const bytes = new TextEncoder().encode(value);
        this.#put(4, (view, at) => view.setUint32(at, bytes.length, this.#littleEndian));
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
        return this.#put(4, (view, at) => view.setUint32(at, value ? 1 : 0, this.#littleEndian));
      case "d":
        if (typeof value !== "number") throw mismatch(code, value);
        return this.#put(8, (view, at) => view.setFloat64(at, value, this.#littleEndian));
      case "x":
        if (typeof value !== "bigint") throw mismatch(code, value);
        if (BigInt.asIntN(64, value) !== value) throw outOfRange(code, value);
        return this.#put(8, (view, at) => view.setBigInt64(at, value, this.#littleEndian));
      case "t":
        if (typeof value !== "bigint") throw mismatch(code, value);
        if (BigInt.asUintN(64, value) !== value) throw outOfRange(code, value);
        return this.#put(8, (view, at) => view.setBigUint64(at, value, this.#littleEndian));
      default:
        return this.#integer(code, value);
    }
  }

  #integer(code: keyof typeof INTEGER_RANGES, value: DBusValue | undefined): void {
    if (typeof value !== "number") throw mismatch(code, value);
    const [min, max] = INTEGER_RANGES[code];
    if (!Number.isInteger(value) || value < min || value > max) throw outOfRange(code, value);
    if (code === "y") this.#put(1, (view, at) => view.setUint8(at, value));
    else if (max <= 0xffff) {
      this.#put(2, (view, at) => view.setUint16(at, value, this.#littleEndian));
    } else this.#put(4, (view, at) => view.setUint32(at, value, this.#littleEndian));
  }

  #signature(signature: string): void {
    this.#put(1, (view, at) => view.setUint8(at, signature.length));
    this.#raw(new TextEncoder().encode(signature));
    this.#reserve(1, 1);
  }

  /** The length of an array counts neither itself nor the padding before the first element. */
  #array(elementAlignment: number, writeElements: () => void): void {
    const lengthAt = this.#reserve(4, 4);
    this.#align(elementAlignment);
    const start = this.#length;
    writeElements();
    const length = this.#length - start;
    if (length > MAX_ARRAY_BYTES) throw new RangeError(`Cannot marshal array: ${length} bytes`);
    this.#view.setUint32(lengthAt, length, this.#littleEndian);
  }

  #raw(bytes: Uint8Array): void {
    const at = this.#reserve(1, bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
  }

  /** Writes a number of `size` bytes; the view is taken after room was made, as it may change. */
  #put(size: number, set: (view: DataView<ArrayBuffer>, at: number) => void): void {
    const at = this.#reserve(size, size);
    set(this.#view, at);
  }

  #align(alignment: number): void {
    this.#reserve(alignment, 0);
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
  const given = value === undefined ? "missing" : typeof value;
  return new TypeError(`Cannot marshal value as "${type}": the given value is ${given}`);
}

function outOfRange(code: string, value: number | bigint): RangeError {
  return new RangeError(`Cannot marshal ${value} as "${code}": it does not fit`);
}
