/**
 * The format of `log.index`, which records when the bytes of a log arrived.
 *
 * A header, then appended records of fixed width. A record says that at `timeMs` one stream had
 * grown to `streamEnd` bytes, and the whole log, all streams in the order of the records, to
 * `viewEnd`. Both are totals, so readers bisect the file instead of reading all of it. For a merged
 * log the two are equal; for a split log the records *define* the combined view, so an offset in it
 * is stable.
 *
 * A torn or zeroed tail (after a crash or power failure) is detected by length and check byte, and
 * ignored.
 *
 * @module
 */
import type { OutputStream } from "@lib/spine/jobs/attempt_directory.ts";

/** Bytes of the header, and of each record. */
export const INDEX_RECORD_BYTES = 20;

const MAGIC = "cicdlog";
const VERSION = 1;
const STREAMS = ["merged", "stdout", "stderr"] as const satisfies readonly OutputStream[];

/** Sizes of the files of a log, in bytes. */
export type StreamSizes = Readonly<Record<OutputStream, number>>;

/** One record; sizes in bytes from the start of the log. */
export interface IndexRecord {
  readonly stream: OutputStream;
  /** When the bytes were seen, in milliseconds since the epoch. */
  readonly timeMs: number;
  /** End of the bytes in the log of all streams. */
  readonly viewEnd: number;
  /** End of the bytes in their stream's file. */
  readonly streamEnd: number;
}

/** The header of a new index; as long as a record. */
export function encodeIndexHeader(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(INDEX_RECORD_BYTES);
  new TextEncoder().encodeInto(MAGIC, bytes);
  bytes[MAGIC.length] = VERSION;
  bytes[MAGIC.length + 1] = INDEX_RECORD_BYTES;
  return bytes;
}

/** Returns true if `bytes` begin with the header of this version. */
export function isIndexHeader(bytes: Uint8Array): boolean {
  return bytes.length >= INDEX_RECORD_BYTES &&
    encodeIndexHeader().every((byte, at) => bytes[at] === byte);
}

/** Encodes records, one after another. */
export function encodeIndexRecords(records: readonly IndexRecord[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(records.length * INDEX_RECORD_BYTES);
  records.forEach((record, number) => {
    const at = number * INDEX_RECORD_BYTES;
    bytes[at + 1] = STREAMS.indexOf(record.stream);
    writeUint48(bytes, at + 2, record.timeMs);
    writeUint48(bytes, at + 8, record.viewEnd);
    writeUint48(bytes, at + 14, record.streamEnd);
    bytes[at] = checkByte(bytes, at);
  });
  return bytes;
}

/** Decodes the record at byte `at`; `undefined` if it is missing or damaged. */
export function decodeIndexRecord(bytes: Uint8Array, at: number): IndexRecord | undefined {
  if (at + INDEX_RECORD_BYTES > bytes.length || bytes[at] !== checkByte(bytes, at)) {
    return undefined;
  }
  const stream = STREAMS[bytes[at + 1] ?? STREAMS.length];
  if (stream === undefined) return undefined;
  return {
    stream,
    timeMs: readUint48(bytes, at + 2),
    viewEnd: readUint48(bytes, at + 8),
    streamEnd: readUint48(bytes, at + 14),
  };
}

/** Returns the size of one stream's file, or with `all` of the whole log, as of `record`. */
export function endOfView(record: IndexRecord, view: OutputStream | "all"): number {
  if (view === "all" || view === "merged") return record.viewEnd;
  return record.stream === view ? record.streamEnd : record.viewEnd - record.streamEnd;
}

/** Returns true if the files have all the bytes that `record` covers. */
export function isCovered(record: IndexRecord, sizes: StreamSizes): boolean {
  if (record.stream === "merged") return record.viewEnd <= sizes.merged;
  return endOfView(record, "stdout") <= sizes.stdout && endOfView(record, "stderr") <= sizes.stderr;
}

/** Never 0 for a record of zeros, so that a zeroed block holds no valid record. */
function checkByte(bytes: Uint8Array, at: number): number {
  let sum = 90;
  for (let i = at + 1; i < at + INDEX_RECORD_BYTES; i++) sum = (sum * 31 + (bytes[i] ?? 0)) & 255;
  return sum;
}

function writeUint48(bytes: Uint8Array, at: number, value: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint16(at, Math.floor(value / 2 ** 32));
  view.setUint32(at + 2, value >>> 0);
}

function readUint48(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2);
}
