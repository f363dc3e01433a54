/**
 * Messages as text for people, as JSON, and as native fields of the journal.
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

const STYLES: Readonly<Record<Level, { readonly label: string; readonly colour: string }>> = {
  debug: { label: "debug", colour: "\x1b[90m" },
  info: { label: "info ", colour: "\x1b[32m" },
  warning: { label: "warn ", colour: "\x1b[33m" },
  error: { label: "error", colour: "\x1b[31m" },
};
const DIM = "\x1b[90m";
const RESET = "\x1b[0m";

/** Formats an entry as `time level message key=value …`, a stack on lines of its own. */
export function formatText(
  entry: LogEntry,
  { colour }: { readonly colour: boolean },
): readonly string[] {
  const paint = (code: string, text: string) => colour ? `${code}${text}${RESET}` : text;
  const style = STYLES[entry.level];
  const time = paint(DIM, toRfc3339(entry.timeMs));
  const text = sentence(entry, (name) => paint(DIM, name));
  return [`${time} ${paint(style.colour, style.label)} ${text}`, ...stackLines(entry)];
}

/**
 * Formats an entry for a stderr that the service manager reads: each line with its `<N>` priority
 * (sd-daemon(3)), without a time, as the journal has one.
 */
export function formatPrefixed(entry: LogEntry): readonly string[] {
  const prefix = `<${PRIORITIES[entry.level]}>`;
  return [sentence(entry), ...stackLines(entry)].map((line) => `${prefix}${line}`);
}

const JSON_NAMES: ReadonlySet<string> = new Set([
  "time",
  "level",
  "program",
  "message",
  "message_id",
  "stack",
]);

/** Formats an entry as a JSON object; a field named like one of the entry's own gets a final `_`. */
export function formatJson(entry: LogEntry, program: string): string {
  const fields = [...entry.fields].map(([name, value]) =>
    [JSON_NAMES.has(name) ? `${name}_` : name, value] as const
  );
  return JSON.stringify({
    time: toRfc3339(entry.timeMs),
    level: entry.level,
    program,
    message: entry.message,
    message_id: entry.messageId,
    ...Object.fromEntries(fields),
    stack: entry.stack,
  });
}

const JOURNAL_NAMES = /^(?:MESSAGE|MESSAGE_ID|PRIORITY|ERRNO|CODE_.*|SYSLOG_.*|UNIT|USER_UNIT)$/;

/**
 * Makes the journal fields of an entry (systemd.journal-fields(7)).
 *
 * `MESSAGE` also carries the other fields as text, since a plain `journalctl` shows only that. A
 * field whose name has a meaning in the journal is renamed to `CICD_…`.
 */
export function toJournalFields(entry: LogEntry, identifier: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of entry.fields) {
    const upper = name.toUpperCase();
    const usable = /^[A-Z]/.test(upper) && !JOURNAL_NAMES.test(upper);
    fields.set((usable ? upper : `CICD_${upper}`).slice(0, 64), String(value));
  }
  fields.set("MESSAGE", sentence(entry));
  fields.set("PRIORITY", String(PRIORITIES[entry.level]));
  fields.set("SYSLOG_IDENTIFIER", identifier);
  if (entry.messageId !== undefined) fields.set("MESSAGE_ID", entry.messageId);
  if (entry.stack !== undefined) fields.set("ERROR_STACK", entry.stack);
  if (entry.code !== undefined) {
    fields.set("CODE_FILE", entry.code.file);
    fields.set("CODE_LINE", String(entry.code.line));
    if (entry.code.function !== undefined) fields.set("CODE_FUNC", entry.code.function);
  }
  return fields;
}

/** Formats the message and its fields on one line. */
function sentence(entry: LogEntry, paint = (name: string) => name): string {
  const pairs = [...entry.fields].map(([name, value]) => ` ${paint(`${name}=`)}${shown(value)}`);
  return `${escapeControls(entry.message)}${pairs.join("")}`;
}

function shown(value: string | number | boolean): string {
  if (typeof value !== "string") return String(value);
  if (/^[^\s"=\\\p{Cc}]+$/u.test(value)) return escapeControls(value);
  return `"${escapeControls(value.replace(/["\\]/g, "\\$&"))}"`;
}

function stackLines({ stack }: LogEntry): readonly string[] {
  if (stack === undefined) return [];
  return stack.split("\n").map((line) => `    ${escapeControls(line.trimEnd())}`);
}
