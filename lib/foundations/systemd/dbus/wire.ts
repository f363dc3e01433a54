/**
 * D-Bus values as they are inside the program.
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
/** A value with the signature of its one complete type. */
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

/** Largest message in bytes. */
export const MAX_MESSAGE_BYTES = 134_217_728;
/** Largest array in bytes. */
export const MAX_ARRAY_BYTES = 67_108_864;
/** Deepest nesting of containers, variants included. */
export const MAX_DEPTH = 64;

/** Whether the text is an object path such as `/org/freedesktop/systemd1`. */
export function isObjectPath(text: string): boolean {
  return /^\/$|^(\/[A-Za-z0-9_]+)+$/.test(text);
}

/** Whether the value is a variant. */
export function isVariant(value: DBusValue | undefined): value is Variant {
  return typeof value === "object" && "signature" in value && "value" in value;
}

/** Whether the value is a struct, or an array of other than bytes. */
export function isList(value: DBusValue | undefined): value is readonly DBusValue[] {
  return Array.isArray(value);
}
