/**
 * JSON Schemas of the inputs of value types, for OpenAPI.
 *
 * @module
 */
import { ENV_NAME_MAX_BYTES } from "@lib/core/exec_limits.ts";
import { PROJECT_NAME_MAX } from "@lib/core/ids.ts";

/** A JSON Schema; patterns are such that Python's `re` and RE2 read them too. */
export type JsonSchema = { readonly [key: string]: unknown };

/** Stands in a JSON Schema, as `measure`, for a duration in milliseconds or a size in bytes. */
export interface Measure extends Bounds {
  readonly kind: "duration" | "size";
  /** Only as text. */
  readonly isText?: boolean;
}

/** Bounds of a number, both included. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** The schemas of some types. */
export const json = {
  text: { type: "string" },
  path: { type: "string", minLength: 1, maxLength: 4_096 },
  absolute: { type: "string", pattern: "^/", maxLength: 4_096 },
  variable: {
    type: "string",
    pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
    maxLength: ENV_NAME_MAX_BYTES,
    examples: ["NAME"],
  },
  project: {
    type: "string",
    pattern: "^[A-Za-z0-9](?:[.]?[A-Za-z0-9_-])*[.]?$",
    maxLength: PROJECT_NAME_MAX,
    examples: ["web-app"],
  },
} as const;

/** The JSON Schema of a measure; OpenAPI replaces `measure` by the patterns and bounds. */
export function measure(kind: Measure["kind"], { min, max }: Bounds): JsonSchema {
  return { measure: { kind, min, max }, examples: [kind === "duration" ? "10m" : "512M"] };
}

/** Returns true if a text has more characters, counted as JSON Schema does: code points. */
export function isLonger(text: string, maxChars: number): boolean {
  return text.length > maxChars && (text.length > 2 * maxChars || [...text].length > maxChars);
}
