/**
 * Reads and appends to `log.index` on disk.
 *
 * Records are fetched by position in blocking calls of a few microseconds: a bisection takes about
 * twenty, however long the log is.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import type { OutputStream } from "@lib/spine/jobs/attempt_directory.ts";
import {
  decodeIndexRecord,
  encodeIndexHeader,
  encodeIndexRecords,
  endOfView,
  INDEX_RECORD_BYTES,
  type IndexRecord,
  isCovered,
  isIndexHeader,
  type StreamSizes,
} from "@lib/spine/logs/log_index.ts";
import type { IndexedLog } from "@lib/spine/logs/log_plan.ts";

/** A view of a log: all streams together, or one. */
export type LogView = OutputStream | "all";

/** Opens the index at `path`; `undefined` if there is none of this version yet. */
export function openLogIndex(path: string): LogIndexFile | undefined {
  const file = openRegular(path, { read: true });
  if (file === undefined) return undefined;
  const index = readLogIndex(file);
  if (index === undefined) file.close();
  return index;
}

function readLogIndex(file: Deno.FsFile): LogIndexFile | undefined {
  const header = new Uint8Array(INDEX_RECORD_BYTES);
  file.seekSync(0, Deno.SeekMode.Start);
  const count = file.readSync(header);
  return count === INDEX_RECORD_BYTES && isIndexHeader(header) ? new LogIndexFile(file) : undefined;
}

/** An open index; sees records appended later. */
export class LogIndexFile implements Disposable {
  readonly #file: Deno.FsFile;
  /** Records fetched last, and the number of the first of them. */
  readonly #block = new Uint8Array(64 * INDEX_RECORD_BYTES);
  #blockFirst = 0;
  #blockCount = 0;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Returns record `number`, from 0; `undefined` if it is missing or damaged. */
  at(number: number): IndexRecord | undefined {
    if (number < this.#blockFirst || number >= this.#blockFirst + this.#blockCount) {
      this.#fetch(number);
    }
    const place = number - this.#blockFirst;
    if (place < 0 || place >= this.#blockCount) return undefined;
    return decodeIndexRecord(this.#block, place * INDEX_RECORD_BYTES);
  }

  /**
   * Counts the leading records that are valid and covered by files of these sizes.
   *
   * Only the tail can be invalid, so a bisection finds its begin; a job may have made the file as
   * long as it likes.
   */
  validCount(sizes?: StreamSizes): number {
    let low = 0;
    let high = Math.max(0, Math.floor(this.#file.statSync().size / INDEX_RECORD_BYTES) - 1);
    while (low < high) {
      const middle = low + Math.ceil((high - low) / 2);
      const record = this.at(middle - 1);
      const isValid = record !== undefined && (sizes === undefined || isCovered(record, sizes));
      if (isValid) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /**
   * Returns the number of the first of `count` records whose end in `view` is after `offset`, or
   * `count`.
   */
  find(view: LogView, offset: number, count: number): number {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const record = this.at(middle);
      if (record === undefined || endOfView(record, view) > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  #fetch(number: number): void {
    this.#file.seekSync((number + 1) * INDEX_RECORD_BYTES, Deno.SeekMode.Start);
    const bytes = this.#file.readSync(this.#block) ?? 0;
    this.#blockFirst = number;
    this.#blockCount = Math.floor(bytes / INDEX_RECORD_BYTES);
  }
}

/**
 * Opens the index for appending, creating it if needed.
 *
 * Cuts off what a crash or power failure left at its end: torn records, and records of bytes that
 * the log itself has lost.
 *
 * @param sizes Of the log's files now.
 * @throws {CicdError} `io_failed` if the file is not an index of this version.
 */
export function openIndexWriter(path: string, sizes: StreamSizes): IndexWriter {
  const file = openRegular(path, { read: true, append: true, create: true, mode: 0o600 });
  try {
    if (file.statSync().size < INDEX_RECORD_BYTES) {
      file.truncateSync(0);
      writeAll(file, encodeIndexHeader());
    }
    const index = readLogIndex(file);
    if (index === undefined) {
      throw new CicdError(
        "io_failed",
        `Cannot append to "${path}": it is not a log index of this version; remove it`,
      );
    }
    const count = index.validCount(sizes);
    const last = index.at(count - 1);
    file.truncateSync((count + 1) * INDEX_RECORD_BYTES);
    return new IndexWriter(file, indexedBy(last));
  } catch (error) {
    file.close();
    throw error;
  }
}

/** An index open for appending; at most one per attempt. */
export class IndexWriter implements Disposable {
  readonly #file: Deno.FsFile;
  /** How much of the log was indexed when the writer was opened. */
  readonly indexed: IndexedLog;
  #bytes: number;

  constructor(file: Deno.FsFile, indexed: IndexedLog) {
    this.#file = file;
    this.indexed = indexed;
    this.#bytes = file.statSync().size;
  }

  /** Size of the index in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Appends records; after a failure, open a new writer. */
  append(records: readonly IndexRecord[]): void {
    if (records.length === 0) return;
    const bytes = encodeIndexRecords(records);
    writeAll(this.#file, bytes);
    this.#bytes += bytes.length;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function indexedBy(last: IndexRecord | undefined): IndexedLog {
  if (last === undefined) return { ends: {}, timeMs: 0 };
  const { timeMs } = last;
  if (last.stream === "merged") return { ends: { merged: last.viewEnd }, timeMs };
  return { ends: { stdout: endOfView(last, "stdout"), stderr: endOfView(last, "stderr") }, timeMs };
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
