/**
 * Plans index records and cuts from the sizes of a log's files.
 *
 * @module
 */
import type { OutputStream } from "@lib/spine/jobs/attempt_directory.ts";
import type { IndexRecord } from "@lib/spine/logs/log_index.ts";

/** How far a log is indexed. */
export interface IndexedLog {
  /** Bytes of each stream that are indexed. */
  readonly ends: Readonly<Partial<Record<OutputStream, number>>>;
  /** Time of the last record, in milliseconds since the epoch. */
  readonly timeMs: number;
}

/** The state of one stream's file. */
export interface SeenStream {
  readonly stream: OutputStream;
  /** Size of the file in bytes. */
  readonly size: number;
  /** Time of the last write to it, in milliseconds since the epoch. */
  readonly timeMs: number;
}

/** A cut of a stream's file. */
export interface CutStream {
  readonly stream: OutputStream;
  readonly keepBytes: number;
  readonly dropBytes: number;
}

/**
 * Plans the next step of recording: first append the records, then cut the files.
 *
 * New bytes are indexed in the order of `seen`, up to the cap; the rest is cut. A file smaller than
 * before (the job emptied it) adds nothing.
 *
 * @param options.maxBytes The cap on all streams together.
 */
export function planRecords(
  before: IndexedLog,
  seen: readonly SeenStream[],
  { maxBytes }: { readonly maxBytes: number },
): { records: readonly IndexRecord[]; cuts: readonly CutStream[]; indexed: IndexedLog } {
  const ends: Partial<Record<OutputStream, number>> = { ...before.ends };
  const records: IndexRecord[] = [];
  const cuts: CutStream[] = [];
  let viewEnd = totalBytes(before);
  let timeMs = before.timeMs;
  for (const { stream, size, timeMs: seenMs } of seen) {
    const end = ends[stream] ?? 0;
    const grown = Math.min(size - end, maxBytes - viewEnd);
    if (grown > 0) {
      viewEnd += grown;
      ends[stream] = end + grown;
      timeMs = Math.max(timeMs, Math.floor(seenMs));
      records.push({ stream, timeMs, viewEnd, streamEnd: end + grown });
    }
    const keepBytes = ends[stream] ?? 0;
    if (size > keepBytes) cuts.push({ stream, keepBytes, dropBytes: size - keepBytes });
  }
  return { records, cuts, indexed: { ends, timeMs } };
}

/** Returns the indexed bytes of all streams. */
export function totalBytes({ ends }: IndexedLog): number {
  return Object.values(ends).reduce((sum, end) => sum + end, 0);
}
