/**
 * When the bytes of a log arrived.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { endOfView } from "@lib/spine/logs/log_index.ts";
import { type LogIndexFile, type LogView, openLogIndex } from "@lib/spine/logs/log_index_file.ts";
import type { LogSource } from "@lib/spine/logs/log_source.ts";

/** Tells the times of bytes of one view, for offsets in ascending order. */
export class LogTimes implements Disposable {
  readonly #source: LogSource;
  readonly #view: LogView;
  readonly #clock: Clock;
  #index: LogIndexFile | undefined;
  #number: number | undefined;
  #fallbackMs: number | undefined;

  constructor(source: LogSource, view: LogView, clock: Clock) {
    this.#source = source;
    this.#view = view;
    this.#clock = clock;
  }

  /** Looks at the index again, which may have grown since. */
  refresh(): void {
    this.#fallbackMs = undefined;
  }

  /**
   * The time at which the byte at `offset` was seen, in milliseconds since the
   * epoch.
   *
   * Where the index has not come so far: the present, or the time of the last
   * write to the log of a settled attempt.
   */
  timeAt(offset: number): number {
    return this.#fallbackMs ?? this.#indexed(offset) ?? (this.#fallbackMs = this.#fallback());
  }

  [Symbol.dispose](): void {
    this.#index?.[Symbol.dispose]();
  }

  #indexed(offset: number): number | undefined {
    this.#index ??= openLogIndex(this.#source.directory.logIndex);
    if (this.#index === undefined) return undefined;
    this.#number ??= this.#index.find(this.#view, offset, this.#index.soundCount());
    for (;; this.#number++) {
      const record = this.#index.at(this.#number);
      if (record === undefined) return undefined;
      if (endOfView(record, this.#view) > offset) return record.timeMs;
    }
  }

  #fallback(): number {
    if (!this.#source.settled) return this.#clock.now();
    const path = this.#source.directory.logFile(this.#view === "all" ? "stdout" : this.#view);
    try {
      return Deno.statSync(path).mtime?.getTime() ?? this.#clock.now();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return this.#clock.now();
      throw error;
    }
  }
}
