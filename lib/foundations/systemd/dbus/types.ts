/**
 * D-Bus values and their type signatures, as in "Type System" of the D-Bus specification.
 *
 * | D-Bus | here |
 * |---|---|
 * | `y n q i u d h` | number |
 * | `x t` | bigint |
 * | `b` | boolean |
 * | `s o g` | string |
 * | `ay` | `Uint8Array` |
 * | other arrays, structs | array |
 * | `a{..}` | `Map` |
 * | `v` | {@linkcode Variant} |
 *
 * @module
 */

/** A value with the signature of its single complete type. */
export interface Variant {
  readonly signature: string;
  readonly value: DBusValue;
}

/** Any D-Bus value. */
export type DBusValue =
  | number
  | bigint
  | boolean
  | string
  | Uint8Array
  | Variant
  | readonly DBusValue[]
  | ReadonlyMap<DBusValue, DBusValue>;

/** One complete type. */
export type DBusType =
  | { readonly kind: "basic"; readonly code: BasicCode }
  | { readonly kind: "variant" }
  | { readonly kind: "array"; readonly element: DBusType }
  | { readonly kind: "dict"; readonly key: DBusType; readonly value: DBusType }
  | { readonly kind: "struct"; readonly fields: readonly DBusType[] };

/** Largest message in bytes. */
export const MAX_MESSAGE_BYTES = 134_217_728;
/** Largest array in bytes. */
export const MAX_ARRAY_BYTES = 67_108_864;
/** Deepest nesting of containers, variants included. */
export const MAX_DEPTH = 64;
/** Longest signature in bytes. */
const MAX_SIGNATURE_BYTES = 255;
/** Deepest nesting of arrays, and separately of structs. */
const MAX_NESTING = 32;

/** The numbers that JavaScript holds as `number`: name in `DataView`, size in bytes, range. */
export const NUMBERS = {
  y: { view: "Uint8", size: 1, min: 0, max: 0xff },
  n: { view: "Int16", size: 2, min: -0x8000, max: 0x7fff },
  q: { view: "Uint16", size: 2, min: 0, max: 0xffff },
  i: { view: "Int32", size: 4, min: -0x8000_0000, max: 0x7fff_ffff },
  u: { view: "Uint32", size: 4, min: 0, max: 0xffff_ffff },
  h: { view: "Uint32", size: 4, min: 0, max: 0xffff_ffff },
} as const;

const ALIGNMENTS = { y: 1, b: 4, n: 2, q: 2, i: 4, u: 4, x: 8, t: 8, d: 8, s: 4, o: 4, g: 1, h: 4 };

/** Codes of the types that contain no other type. */
export type BasicCode = keyof typeof ALIGNMENTS;

/** Returns true for an object path such as `/org/freedesktop/systemd1`. */
export function isObjectPath(text: string): boolean {
  return /^\/$|^(\/[A-Za-z0-9_]+)+$/.test(text);
}

/** Narrows a value to a variant. */
export function isVariant(value: DBusValue | undefined): value is Variant {
  return typeof value === "object" && "signature" in value && "value" in value;
}

/** Narrows a value to a struct, or an array of anything but bytes. */
export function isList(value: DBusValue | undefined): value is readonly DBusValue[] {
  return Array.isArray(value);
}

/**
 * Parses a signature of any number of complete types.
 *
 * @throws {SyntaxError} If it is malformed.
 */
export function parseSignature(signature: string): readonly DBusType[] {
  if (signature.length > MAX_SIGNATURE_BYTES) throw bad(signature, "is longer than 255 bytes");
  const types: DBusType[] = [];
  for (let at = 0; at < signature.length;) {
    const parsed = parseType(signature, at, 0, 0);
    types.push(parsed.type);
    at = parsed.end;
  }
  return types;
}

/**
 * Parses a signature of exactly one complete type, as in a variant.
 *
 * @throws {SyntaxError} If it is malformed.
 */
export function parseSingleSignature(signature: string): DBusType {
  const [type, ...rest] = parseSignature(signature);
  if (type === undefined || rest.length > 0) throw bad(signature, "is not one complete type");
  return type;
}

/** Returns the multiple of bytes at which a value of the type begins. */
export function alignmentOf(type: DBusType): number {
  switch (type.kind) {
    case "basic":
      return ALIGNMENTS[type.code];
    case "variant":
      return 1;
    case "array":
    case "dict":
      return 4;
    case "struct":
      return 8;
    default:
      return type satisfies never;
  }
}

interface Parsed {
  readonly type: DBusType;
  readonly end: number;
}

function parseType(text: string, at: number, arrays: number, structs: number): Parsed {
  if (arrays > MAX_NESTING || structs > MAX_NESTING) throw bad(text, "nests deeper than 32");
  const code = text[at];
  if (code === undefined) throw bad(text, "ends inside a type");
  if (code === "v") return { type: { kind: "variant" }, end: at + 1 };
  if (isBasicCode(code)) return { type: { kind: "basic", code }, end: at + 1 };
  if (code === "a") {
    if (text[at + 1] === "{") return parseDict(text, at + 2, arrays + 1, structs);
    const { type, end } = parseType(text, at + 1, arrays + 1, structs);
    return { type: { kind: "array", element: type }, end };
  }
  if (code === "(") return parseStruct(text, at + 1, arrays, structs + 1);
  throw bad(text, `has an unknown type at ${at}`);
}

function parseDict(text: string, at: number, arrays: number, structs: number): Parsed {
  const key = parseType(text, at, arrays, structs);
  if (key.type.kind !== "basic") throw bad(text, "has a dictionary key that is not a basic type");
  const value = parseType(text, key.end, arrays, structs);
  if (text[value.end] !== "}") throw bad(text, "has a dictionary entry of other than two types");
  return { type: { kind: "dict", key: key.type, value: value.type }, end: value.end + 1 };
}

function parseStruct(text: string, start: number, arrays: number, structs: number): Parsed {
  const fields: DBusType[] = [];
  let at = start;
  while (text[at] !== ")") {
    const field = parseType(text, at, arrays, structs);
    fields.push(field.type);
    at = field.end;
  }
  if (fields.length === 0) throw bad(text, "has an empty struct");
  return { type: { kind: "struct", fields }, end: at + 1 };
}

function isBasicCode(code: string): code is BasicCode {
  return Object.hasOwn(ALIGNMENTS, code);
}

function bad(signature: string, state: string): SyntaxError {
  return new SyntaxError(`Cannot read D-Bus signature ${JSON.stringify(signature)}: it ${state}`);
}
