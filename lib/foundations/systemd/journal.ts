/**
 * Writes entries with fields to the journal, in its native protocol.
 *
 * @module
 */
import type { DatagramSocket } from "@lib/foundations/systemd/libc.ts";

/** Fields of one entry, including `MESSAGE` and `PRIORITY` (0 to 7). */
export type JournalFields = Readonly<Record<string, string>>;

/** A writer of entries that never throws and never waits. */
export interface JournalWriter extends Disposable {
  /** Writes one entry; returns false if the journal does not accept it, as in a burst. */
  readonly write: (fields: JournalFields) => boolean;
}

/** The socket of journald. */
export const JOURNAL_SOCKET = "/run/systemd/journal/socket";

/** Longest entry in bytes: well below the kernel's default datagram buffer. */
const MAX_ENTRY_BYTES = 65_536;
const MAX_NAME_CHARS = 64;

/** Creates a writer that owns the socket. */
export function createJournalWriter(socket: DatagramSocket): JournalWriter {
  return {
    write: (fields) => socket.send(encodeJournalEntry(fields)).kind === "sent",
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  };
}

/**
 * Encodes an entry of at most 64 KiB.
 *
 * Names are converted (see {@linkcode journalFieldName}) or omitted. A value longer
 * than half an entry is truncated and marked. A field that does not fit is omitted,
 * so put important fields first.
 */
export function encodeJournalEntry(fields: JournalFields): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for (const [key, value] of Object.entries(fields)) {
    const name = journalFieldName(key);
    if (name === undefined) continue;
    const field = isPlain(value)
      ? ENCODER.encode(`${name}=${value}\n`)
      : encodeField(name, shorten(ENCODER.encode(value)));
    if (total + field.length > MAX_ENTRY_BYTES) continue;
    parts.push(field);
    total += field.length;
  }
  return concat(parts);
}

/**
 * Converts a key to a field name that the journal accepts: capitals, digits and
 * underscores, beginning with a letter, at most 64 characters.
 *
 * @returns `undefined` if nothing is left of it.
 */
export function journalFieldName(key: string): string | undefined {
  const name = key.toUpperCase().replaceAll(/[^A-Z0-9_]/g, "_").replace(/^[0-9_]+/, "");
  return name === "" ? undefined : name.slice(0, MAX_NAME_CHARS);
}

const ENCODER = new TextEncoder();

/** Tells if a value goes into its field as it is: short, and without a line break. */
function isPlain(value: string): boolean {
  return value.length <= MAX_ENTRY_BYTES / 8 && !value.includes("\n");
}

/** A value with a line break is preceded by its length, in 8 bytes, little-endian. */
function encodeField(name: string, value: Uint8Array): Uint8Array {
  const end = ENCODER.encode("\n");
  if (!value.includes(0x0a)) return concat([ENCODER.encode(`${name}=`), value, end]);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(value.length), true);
  return concat([ENCODER.encode(`${name}\n`), length, value, end]);
}

function shorten(value: Uint8Array): Uint8Array {
  const max = MAX_ENTRY_BYTES / 2;
  if (value.length <= max) return value;
  let end = max;
  // Not inside a character: its continuation bytes are 10xxxxxx.
  while (end > 0 && ((value[end] ?? 0) & 0xc0) === 0x80) end--;
  const mark = ENCODER.encode(` [${value.length - end} bytes cut]`);
  return concat([value.subarray(0, end), mark]);
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
