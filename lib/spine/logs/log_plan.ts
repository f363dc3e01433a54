/**
 * Decides what to write into the index, and what to cut, after a look at the
 * sizes of a log's files.
 *
 * @module
 */
import type { OutputStream } from "@lib/spine/jobs/attempt_directory.ts";
import type { IndexRecord } from "@lib/spine/logs/log_index.ts";

/** How far a log is indexed. */
export interface IndexedLog {
  /** Bytes of each stream that have a place in the log. */
  readonly ends: Readonly<Partial<Record<OutputStream, number>>>;
  /** Time of the last record, in milliseconds since the epoch. */
  readonly timeMs: number;
}

/** What was seen of one stream's file. */
export interface SeenStream {
  readonly stream: OutputStream;
  /** Size of the file in bytes. */
  readonly size: number;
  /** Time of the last write to it, in milliseconds since the epoch. */
  readonly timeMs: number;
}

/** What is to be cut off a stream's file. */
export interface CutStream {
  readonly stream: OutputStream;
  readonly keepBytes: number;
  readonly dropBytes: number;
}

/** What {@linkcode planRecords} decided. */
export interface RecordPlan {
  /** To be appended to the index. */
  readonly records: readonly IndexRecord[];
  /** To be cut, once the records are written. */
  readonly cuts: readonly CutStream[];
  /** How far the log is indexed then. */
  readonly indexed: IndexedLog;
}

/**
 * Plans the next step of recording.
 *
 * New bytes get their place in the order of `seen`, up to the cap; what is left
 * over is cut. A file smaller than before (the job emptied it) adds nothing.
 *
 * @param options.maxBytes The cap on all streams together.
 */
export function planRecords(
  before: IndexedLog,
  seen: readonly SeenStream[],
  { maxBytes }: { readonly maxBytes: number },
): RecordPlan {
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

/** Bytes of all streams that have a place in the log. */
export function totalBytes({ ends }: IndexedLog): number {
  return Object.values(ends).reduce((sum, end) => sum + end, 0);
}
