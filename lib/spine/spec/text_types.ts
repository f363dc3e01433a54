import * as v from "valibot";
import { formatSize } from "@lib/core/size.ts";
import { anyText, envMap, refuse, type ValueType, valueType } from "@lib/core/value_types.ts";

/** A short text on one line. */
export function shortText(maxChars = 256): ValueType<string> {
  const accepts = `text of 1 to ${maxChars} characters`;
  const schema = { type: "string", minLength: 1, maxLength: maxChars };
  return valueType(accepts, schema, v.string(), (raw) => {
    if (typeof raw !== "string") return refuse(raw, accepts);
    const message = shortTextProblem(raw, maxChars);
    return message === undefined ? { value: raw } : { message };
  });
}

/** Returns the problem of a short text on one line; `undefined` if there is none. */
export function shortTextProblem(text: string, maxChars = 256): string | undefined {
  if (text === "") return "is empty";
  if (text.length > maxChars) return `is longer than ${maxChars} characters`;
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
  const schema = { type: ["string", "number", "boolean"] };
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
  const map = envMap(anyText(), nameProblem);
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
  return { ...map, schema: v.pipe(map.schema, schema) };
}

function atMost(bytes: number): string {
  return `at most ${bytes} (${formatSize(bytes)})`;
}
