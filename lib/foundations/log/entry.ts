/**
 * One message, prepared for any format: bounded, redacted, plain.
 *
 * @module
 */
import { CicdError, isDiskFull } from "@lib/core/errors.ts";
import type { LogFields } from "@lib/core/logger.ts";

/** Severities, least severe first. */
export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
/** A level of {@linkcode LOG_LEVELS}. */
export type Level = typeof LOG_LEVELS[number];

/** The priority of a level, as in syslog(3). */
export const PRIORITIES: Readonly<Record<Level, number>> = {
  debug: 7,
  info: 6,
  warning: 4,
  error: 3,
};

/** A place in the source. */
export interface CodePlace {
  readonly file: string;
  readonly line: number;
  readonly function?: string;
}

/** A message as the formats need it. */
export interface LogEntry {
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  readonly level: Level;
  readonly message: string;
  /** By snake_case name. */
  readonly fields: ReadonlyMap<string, string | number | boolean>;
  readonly messageId?: string;
  /** Of an error that is a defect, in several lines. */
  readonly stack?: string;
  readonly code?: CodePlace;
}

/** The input of {@linkcode makeEntry}. */
interface EntryInput extends Pick<LogEntry, "timeMs" | "level" | "message" | "code"> {
  readonly fields: LogFields;
}

/** Removes secrets from a text. */
export type Redact = (text: string) => string;

const MESSAGE_MAX = 8_192;
const VALUE_MAX = 4_096;
const FIELDS_MAX = 48;
const CAUSES_MAX = 8;

/** Makes an entry; never throws. */
export function makeEntry(input: EntryInput, redact: Redact): LogEntry {
  const safe = (text: string, max: number) => shorten(redacted(text, redact), max);
  const fields = new Map<string, string | number | boolean>();
  let messageId: string | undefined;
  let stack: string | undefined;
  for (const name of safeKeys(input.fields)) {
    const value = safeGet(input.fields, name);
    if (name === "messageId") {
      if (typeof value === "string" && /^[0-9a-f]{32}$/.test(value)) messageId = value;
    } else if (name === "error" && value !== undefined) {
      fields.set("error", safe(errorText(value), VALUE_MAX));
      const code = errorCode(value);
      if (code !== undefined) fields.set("error_code", code);
      const trace = defectStack(value);
      if (trace !== undefined) stack = safe(trace, MESSAGE_MAX);
    } else if (fields.size < FIELDS_MAX) {
      const simple = simplify(value, redact);
      if (simple !== undefined) {
        fields.set(snakeCase(name), typeof simple === "string" ? safe(simple, VALUE_MAX) : simple);
      }
    }
  }
  return {
    timeMs: input.timeMs,
    level: input.level,
    message: safe(input.message, MESSAGE_MAX),
    fields,
    ...(messageId === undefined ? {} : { messageId }),
    ...(stack === undefined ? {} : { stack }),
    ...(input.code === undefined ? {} : { code: input.code }),
  };
}

/** Escapes control characters, including line breaks. */
export function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (character) =>
      SHORT_ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Returns the message of an error with those of its causes. */
function errorText(thrown: unknown): string {
  const texts: string[] = [];
  const seen = new Set<unknown>();
  let current = thrown;
  while (current !== undefined && !seen.has(current) && texts.length < CAUSES_MAX) {
    seen.add(current);
    texts.push(current instanceof Error ? named(current) : inspect(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return texts.join("; caused by ");
}

function named(error: Error): string {
  const issues = error instanceof CicdError
    ? error.issues.slice(0, 5).map(({ path, message }) => ` [${path}: ${message}]`).join("")
    : "";
  const plain = error instanceof CicdError || error.name === "Error";
  return `${plain ? "" : `${error.name}: `}${error.message}${issues}`;
}

function errorCode(thrown: unknown): string | undefined {
  if (thrown instanceof CicdError) return thrown.code;
  if (isDiskFull(thrown)) return "disk_full";
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  return typeof code === "string" && /^\w{1,64}$/.test(code) ? code : undefined;
}

/** Returns the stack of a defect; the message of an expected failure says everything. */
function defectStack(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  if (thrown instanceof CicdError && thrown.code !== "internal" || isDiskFull(thrown)) return;
  const origin = thrown instanceof CicdError && thrown.cause instanceof Error
    ? thrown.cause
    : thrown;
  return origin.stack;
}

function simplify(value: unknown, redact: Redact): string | number | boolean | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "bigint":
      return String(value);
    case "undefined":
    case "function":
    case "symbol":
      return undefined;
    default:
      if (value instanceof Error) return attempt(() => errorText(value));
      if (value instanceof Date) return attempt(() => value.toISOString());
      return inspect(value, redact);
  }
}

function inspect(value: unknown, redact: Redact = (text) => text): string {
  return attempt(() =>
    JSON.stringify(value, (_name, each: unknown) => {
      if (typeof each === "string") return redacted(each, redact);
      if (typeof each === "bigint") return String(each);
      if (each instanceof Map) return Object.fromEntries(each);
      return each instanceof Set ? [...each] : each;
    }) ?? String(value)
  );
}

function attempt(make: () => string): string {
  try {
    return make();
  } catch {
    return "(cannot be shown)";
  }
}

function redacted(text: string, redact: Redact): string {
  try {
    return redact(text);
  } catch {
    // No text is better than a secret.
    return "(cannot be redacted)";
  }
}

function safeKeys(fields: LogFields): readonly string[] {
  try {
    return Object.keys(fields);
  } catch {
    return [];
  }
}

function safeGet(fields: LogFields, name: string): unknown {
  try {
    return fields[name];
  } catch {
    return "(cannot be read)";
  }
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    .replace(/[^a-z0-9_]/g, "_").replace(/^_+/, "").slice(0, 60) || "field";
}

function shorten(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}… (${text.length - max} more)`;
}
