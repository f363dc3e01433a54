import * as v from "valibot";
import { isLonger, type JsonSchema } from "@lib/core/json_schema.ts";
import { formatSize } from "@lib/core/size.ts";
import { anyText, envMap, refuse, type ValueType, valueType } from "@lib/core/value_types.ts";
import { SECRET_MIN_BYTES } from "@lib/foundations/secrets/secret_forms.ts";

/** Control characters, inside the brackets of a class. */
const CONTROL = "\\x00-\\x1f\\x7f-\\x9f";
/** The part of a path that is none of the empty one, `.` and `..`. */
const PART = `(?:[^/.${CONTROL}][^/${CONTROL}]*|\\.[^/.${CONTROL}][^/${CONTROL}]*|` +
  `\\.\\.[^/${CONTROL}]+)`;
/** The same, but not `.git` in any case. */
const PLAIN_PART = `(?:[^/.${CONTROL}][^/${CONTROL}]*|\\.[^/.gG${CONTROL}][^/${CONTROL}]*|` +
  `\\.[gG](?:[^/iI${CONTROL}][^/${CONTROL}]*|[iI](?:[^/tT${CONTROL}][^/${CONTROL}]*|` +
  `[tT][^/${CONTROL}]+)?)?|\\.\\.[^/${CONTROL}]+)`;

/** Patterns of texts, for OpenAPI; what they cannot say, the checks of the policy say. */
export const PATTERNS = {
  line: `^[^${CONTROL}]*$`,
  noNul: "^[^\\x00]*$",
  script: "^[^\\x00]*[^\\x00-\\x20][^\\x00]*$",
  workdir: `^/*(?:(?:${PART}|\\.)/+)*(?:${PART}|\\.)?$`,
  gitPath: `^(?:\\.|${PLAIN_PART}(?:/${PLAIN_PART})*/?)$`,
  inside: `^${PLAIN_PART}(?:/${PLAIN_PART})*$`,
  cachePath: `^${PLAIN_PART}(?:/${PLAIN_PART})*$`.replaceAll(CONTROL, `${CONTROL}*?{}\\[\\]`),
  glob: `^!?${PART}(?:/${PART})*/?$`.replaceAll(CONTROL, `${CONTROL}{}`),
  mount: `^(?:/+(?:${PART}|\\.))+/*$`,
  base64: "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
} as const;

/** Longest part of a path on usual file systems, in bytes. */
export const PART_MAX_BYTES = 255;

/** The same type with more about its input in OpenAPI. */
export function documented<T>(type: ValueType<T>, more: JsonSchema): ValueType<T> {
  return { ...type, json: { ...type.json, ...more } };
}

/** The JSON Schema of names that are checked with {@linkcode safely}. */
export const SAFE_NAMES = {
  type: "string",
  minLength: 1,
  maxLength: 256,
  pattern: PATTERNS.line,
  not: { enum: ["__proto__", "prototype", "constructor"] },
} as const;

/** A short text on one line. */
export function shortText(maxChars = 256): ValueType<string> {
  const accepts = `text of 1 to ${maxChars} characters`;
  const schema = { type: "string", minLength: 1, maxLength: maxChars, pattern: PATTERNS.line };
  return valueType(accepts, schema, v.string(), (raw) => {
    if (typeof raw !== "string") return refuse(raw, accepts);
    const message = shortTextProblem(raw, maxChars);
    return message === undefined ? { value: raw } : { message };
  });
}

/** Returns the problem of a short text on one line; `undefined` if there is none. */
export function shortTextProblem(text: string, maxChars = 256): string | undefined {
  if (text === "") return "is empty";
  if (isLonger(text, maxChars)) return `is longer than ${maxChars} characters`;
  return /[\p{Cc}\p{Cs}]/u.test(text) ? "contains a control character" : undefined;
}

/** Also refuses names with a meaning in JavaScript objects. */
export function safely(problemOf: (name: string) => string | undefined) {
  return (name: string): string | undefined =>
    ["__proto__", "prototype", "constructor"].includes(name)
      ? "cannot be used as a name here"
      : problemOf(name);
}

/** A text, or a number or boolean that is converted to one. Messages do not repeat it. */
export function scalar(): ValueType<string> {
  const schema = {
    anyOf: [{ type: "string", pattern: PATTERNS.noNul }, { type: ["number", "boolean"] }],
  };
  return valueType("text, a number, true or false", schema, v.string(), (raw, accepts) => {
    return typeof raw === "string" || typeof raw === "number" || typeof raw === "boolean"
      ? { value: String(raw) }
      : { message: `must be ${accepts}` };
  });
}

/** A text that is converted to lower case. */
export function lowerCase(type: ValueType<string>): ValueType<string> {
  return { ...type, schema: v.pipe(type.schema, v.transform((text) => text.toLowerCase())) };
}

/** Maximum size of all files of a job together. */
const MAX_FILES_BYTES = 2 * 1024 * 1024;

/** Returns the problem of files of `bytes` together; `undefined` if there is none. */
export function filesProblem(bytes: number): string | undefined {
  return bytes > MAX_FILES_BYTES
    ? `are ${formatSize(bytes)} together; at most ${formatSize(MAX_FILES_BYTES)} are allowed`
    : undefined;
}

/** Returns the size of a decoded Base64 text. */
export function base64Bytes(text: string): number {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return Math.floor(text.length * 3 / 4) - padding;
}

/** Variables whose values are secret, within limits; messages do not repeat them. */
export function secretMap(
  { count, eachBytes, totalBytes }: {
    readonly count: number;
    readonly eachBytes: number;
    readonly totalBytes: number;
  },
  nameProblem: (name: string) => string | undefined,
): ValueType<Readonly<Record<string, string>>> {
  const map = envMap(secretText(eachBytes), nameProblem);
  const schema = v.rawCheck<Readonly<Record<string, string>>>(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const secrets = Object.entries(dataset.value);
    const most = `at most ${count} are allowed`;
    if (secrets.length > count) addIssue({ message: `has ${secrets.length} entries; ${most}` });
    let total = 0;
    for (const [key, value] of secrets) {
      const bytes = new TextEncoder().encode(value).length;
      total += bytes;
      if (bytes <= eachBytes) continue;
      addIssue({
        message: `is ${bytes} bytes long; ${atMost(eachBytes)} are allowed`,
        path: [{ type: "unknown", origin: "value", input: dataset.value, key, value: undefined }],
      });
    }
    if (total > totalBytes) {
      addIssue({ message: `takes ${total} bytes; ${atMost(totalBytes)} are allowed together` });
    }
  });
  return {
    ...map,
    json: { ...map.json, maxProperties: count },
    schema: v.pipe(map.schema, schema),
  };
}

function atMost(bytes: number): string {
  return `at most ${bytes} (${formatSize(bytes)})`;
}

/** The value of a secret: long enough to be masked. */
function secretText(maxBytes: number): ValueType<string> {
  const edge = "[^\\x00-\\x20\\x7f-\\xa0]";
  const pattern = `^(?:${edge}[^\\x00]{${SECRET_MIN_BYTES - 2},}${edge})?$`;
  return documented(anyText(), { pattern, maxLength: maxBytes });
}
