/**
 * Messages as JSON, one object a line.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";
import type { LogEntry } from "@lib/foundations/log/entry.ts";

const OWN_NAMES: ReadonlySet<string> = new Set([
  "time",
  "level",
  "program",
  "message",
  "message_id",
  "stack",
]);

/** Formats an entry; a field named like one of the entry's own gets a `_` behind it. */
export function formatJson(entry: LogEntry, program: string): string {
  const fields = [...entry.fields].map(([name, value]) =>
    [OWN_NAMES.has(name) ? `${name}_` : name, value] as const
  );
  return JSON.stringify({
    time: toRfc3339(entry.timeMs),
    level: entry.level,
    program,
    message: entry.message,
    ...(entry.messageId === undefined ? {} : { message_id: entry.messageId }),
    ...Object.fromEntries(fields),
    ...(entry.stack === undefined ? {} : { stack: entry.stack }),
  });
}
