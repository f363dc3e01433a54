/**
 * Messages as lines for people.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";
import {
  escapeControls,
  type Level,
  type LogEntry,
  PRIORITIES,
} from "@lib/foundations/log/entry.ts";

/** Options for {@linkcode formatText}. */
export interface TextFormatOptions {
  readonly colour: boolean;
}

const LABELS: Readonly<Record<Level, string>> = {
  debug: "debug",
  info: "info ",
  warning: "warn ",
  error: "error",
};

const COLOURS: Readonly<Record<Level, string>> = {
  debug: "\x1b[90m",
  info: "\x1b[32m",
  warning: "\x1b[33m",
  error: "\x1b[31m",
};

const DIM = "\x1b[90m";
const RESET = "\x1b[0m";

/** Formats an entry as `time level message key=value …`, a stack on lines of its own. */
export function formatText(entry: LogEntry, { colour }: TextFormatOptions): readonly string[] {
  const paint = (code: string, text: string) => colour ? `${code}${text}${RESET}` : text;
  const time = paint(DIM, toRfc3339(entry.timeMs));
  const label = paint(COLOURS[entry.level], LABELS[entry.level]);
  const pairs = fieldPairs(entry).map(([name, value]) => ` ${paint(DIM, `${name}=`)}${value}`);
  return [
    `${time} ${label} ${escapeControls(entry.message)}${pairs.join("")}`,
    ...stackLines(entry),
  ];
}

/**
 * Formats an entry for a stderr that the service manager reads: each line with
 * its `<N>` priority (sd-daemon(3)), without a time, as the journal has one.
 */
export function formatPrefixed(entry: LogEntry): readonly string[] {
  const prefix = `<${PRIORITIES[entry.level]}>`;
  return [sentence(entry), ...stackLines(entry)].map((line) => `${prefix}${line}`);
}

/** The message with its fields, on one line. */
export function sentence(entry: LogEntry): string {
  const pairs = fieldPairs(entry).map(([name, value]) => ` ${name}=${value}`);
  return `${escapeControls(entry.message)}${pairs.join("")}`;
}

function fieldPairs({ fields }: LogEntry): readonly (readonly [string, string])[] {
  return [...fields].map(([name, value]) => [name, bareOrQuoted(value)] as const);
}

function bareOrQuoted(value: string | number | boolean): string {
  if (typeof value !== "string") return String(value);
  if (/^[^\s"=\\\p{Cc}]+$/u.test(value)) return escapeControls(value);
  return `"${escapeControls(value.replace(/["\\]/g, "\\$&"))}"`;
}

function stackLines({ stack }: LogEntry): readonly string[] {
  if (stack === undefined) return [];
  return stack.split("\n").map((line) => `    ${escapeControls(line.trimEnd())}`);
}
