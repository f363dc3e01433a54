/**
 * Messages as native fields of the journal (systemd.journal-fields(7)).
 *
 * @module
 */
import { type LogEntry, PRIORITIES } from "@lib/foundations/log/entry.ts";
import { sentence } from "@lib/foundations/log/text_format.ts";

const RESERVED = /^(?:MESSAGE|MESSAGE_ID|PRIORITY|ERRNO|CODE_.*|SYSLOG_.*|UNIT|USER_UNIT)$/;

/**
 * Makes the fields of an entry.
 *
 * `MESSAGE` also carries the other fields as text, since that is all that a
 * plain `journalctl` shows. A field whose name the journal gives a meaning of
 * its own is renamed to `CICD_…`.
 */
export function toJournalFields(entry: LogEntry, program: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of entry.fields) {
    const upper = name.toUpperCase();
    const usable = /^[A-Z]/.test(upper) && !RESERVED.test(upper);
    fields.set((usable ? upper : `CICD_${upper}`).slice(0, 64), String(value));
  }
  fields.set("MESSAGE", sentence(entry));
  fields.set("PRIORITY", String(PRIORITIES[entry.level]));
  fields.set("SYSLOG_IDENTIFIER", program);
  if (entry.messageId !== undefined) fields.set("MESSAGE_ID", entry.messageId);
  if (entry.stack !== undefined) fields.set("ERROR_STACK", entry.stack);
  if (entry.code !== undefined) {
    fields.set("CODE_FILE", entry.code.file);
    fields.set("CODE_LINE", String(entry.code.line));
    if (entry.code.function !== undefined) fields.set("CODE_FUNC", entry.code.function);
  }
  return fields;
}
