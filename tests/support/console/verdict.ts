/**
 * The outcome of a message at the console, and readers of its fields.
 *
 * @module
 */

/** A record of JSON. */
export type Json = Readonly<Record<string, unknown>>;

/**
 * The harm that a message does:
 * - `dropped`: the console logs it and goes on without it.
 * - `lost`: it is read, and what it reports cannot be stored.
 * - `misread`: it is stored as something else than the sender meant.
 * - `crash`: the console's process ends.
 */
export type Harm = "dropped" | "lost" | "misread" | "crash";

/** One reason against a message. */
export interface Fault {
  readonly harm: Harm;
  readonly reason: string;
}

/** Makes a fault. */
export function fault(harm: Harm, reason: string): Fault {
  return { harm, reason };
}

/** Returns a value as a record, or `undefined` if it is none. */
export function readRecord(value: unknown): Json | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : undefined;
}

/** Finds NUL in any text of a value; PostgreSQL stores none. */
export function holdsNul(value: unknown): boolean {
  if (typeof value === "string") return value.includes("\u0000");
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([key, inner]) => holdsNul(key) || holdsNul(inner));
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

/** Tells whether a value is a time as RFC 3339 writes it. */
export function isRfc3339(value: unknown): boolean {
  return typeof value === "string" && RFC3339.test(value) && !Number.isNaN(Date.parse(value));
}

/** Returns the faults of fields that the console makes a `BigInt` of. */
export function integerFaults(where: string, record: Json, names: readonly string[]): Fault[] {
  return names.filter((name) => !Number.isSafeInteger(record[name])).map((name) =>
    fault("crash", `${where}.${name} is no integer: ${JSON.stringify(record[name])}`)
  );
}

/** Returns the faults of fields that have to be text. */
export function textFaults(
  harm: Harm,
  where: string,
  record: Json,
  names: readonly string[],
): Fault[] {
  return names.filter((name) => typeof record[name] !== "string").map((name) =>
    fault(harm, `${where}.${name} is no text: ${JSON.stringify(record[name])}`)
  );
}
