/**
 * Appends to `log.index`.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import {
  encodeIndexHeader,
  encodeIndexRecords,
  endOfView,
  INDEX_RECORD_BYTES,
  type IndexRecord,
} from "@lib/spine/logs/log_index.ts";
import { readLogIndex } from "@lib/spine/logs/log_index_file.ts";
import type { IndexedLog } from "@lib/spine/logs/log_plan.ts";

/** Sizes of the log's files, in bytes, by which an index is judged. */
export type FileSizes = Readonly<Record<"merged" | "stdout" | "stderr", number>>;

/**
 * Opens the index for appending, making it if need be.
 *
 * What a crash or a power failure left at its end is cut off: torn records, and
 * records of bytes that the log itself has lost.
 *
 * @throws {CicdError} `io_failed` if the file is no index of this version.
 */
export function openIndexWriter(path: string, sizes: FileSizes): IndexWriter {
  const file = Deno.openSync(path, { read: true, append: true, create: true, mode: 0o600 });
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
    const count = index.soundCount((record) =>
      record.stream === "merged"
        ? record.viewEnd <= sizes.merged
        : endOfView(record, "stdout") <= sizes.stdout &&
          endOfView(record, "stderr") <= sizes.stderr
    );
    const last = index.at(count - 1);
    file.truncateSync((count + 1) * INDEX_RECORD_BYTES);
    return new IndexWriter(file, indexedBy(last));
  } catch (error) {
    file.close();
    throw error;
  }
}

/** An index open for appending; only one per attempt may live. */
export class IndexWriter implements Disposable {
  readonly #file: Deno.FsFile;
  /** How far the log was indexed when the writer was opened. */
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

  /** Appends records; after a failure the writer must be opened anew. */
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
  return {
    ends: { stdout: endOfView(last, "stdout"), stderr: endOfView(last, "stderr") },
    timeMs,
  };
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
