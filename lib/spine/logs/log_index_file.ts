/**
 * Reads `log.index` from disk.
 *
 * Records are fetched one at a time by position, in blocking calls of a few
 * microseconds: a bisection takes about twenty, whatever the length of the log.
 *
 * @module
 */
import type { OutputStream } from "@lib/spine/jobs/attempt_directory.ts";
import {
  decodeIndexRecord,
  endOfView,
  INDEX_RECORD_BYTES,
  type IndexRecord,
  isIndexHeader,
} from "@lib/spine/logs/log_index.ts";

/** A view of a log: all streams together, or one. */
export type LogView = OutputStream | "all";

/** Opens the index at `path`; `undefined` if there is none of this version yet. */
export function openLogIndex(path: string): LogIndexFile | undefined {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const index = readLogIndex(file);
  if (index === undefined) file.close();
  return index;
}

/** Reads the index in an open file; `undefined` if it is none of this version. */
export function readLogIndex(file: Deno.FsFile): LogIndexFile | undefined {
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

  /** Whole records on disk now, sound or not. */
  count(): number {
    return Math.max(0, Math.floor(this.#file.statSync().size / INDEX_RECORD_BYTES) - 1);
  }

  /** Record `number`, from 0; `undefined` if it is not there or not sound. */
  at(number: number): IndexRecord | undefined {
    if (number < this.#blockFirst || number >= this.#blockFirst + this.#blockCount) {
      this.#fetch(number);
    }
    const place = number - this.#blockFirst;
    if (place < 0 || place >= this.#blockCount) return undefined;
    return decodeIndexRecord(this.#block, place * INDEX_RECORD_BYTES);
  }

  /**
   * How many leading records can be relied on: sound, and accepted by `fits`.
   *
   * Only a tail may be unsound, so the search runs from the end.
   */
  soundCount(fits: (record: IndexRecord) => boolean = () => true): number {
    for (let number = this.count(); number > 0; number--) {
      const record = this.at(number - 1);
      if (record !== undefined && fits(record)) return number;
    }
    return 0;
  }

  /**
   * The number of the first of `count` records whose end in `view` lies after
   * `offset`; `count` if there is none.
   */
  find(view: LogView, offset: number, count: number): number {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
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
