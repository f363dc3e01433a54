/**
 * Records when the bytes of a running attempt's log files arrived, and enforces their cap.
 *
 * The job writes the files itself and never waits for the recorder. A recorder that was away
 * catches up from the files' sizes; only the times of the bytes it missed are coarse then (the time
 * of the file's last write).
 *
 * After a quiet spell a change is recorded at once, then at most every 10 ms (4 ms where followers
 * depend on the index), however much the job writes. The recorder never creates a log file, as the
 * existence of one says that the job was begun.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import type { AttemptDirectory, OutputStream } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { type IndexWriter, openIndexWriter } from "@lib/spine/logs/log_index_file.ts";
import {
  type CutStream,
  type IndexedLog,
  planRecords,
  type SeenStream,
  totalBytes,
} from "@lib/spine/logs/log_plan.ts";
import { logExtent, readCapped, writeCapped } from "@lib/spine/logs/log_source.ts";
import type { LogWatcher } from "@lib/spine/logs/log_watcher.ts";

/** Shortest time between two passes; followers of a split log wait for the index. */
const TICK_MS = { merged: 10, split: 4 } as const;
/** The tick of a log whose index has outgrown it by this many bytes. */
const SLOW_TICK_MS = 250;
const INDEX_SLACK_BYTES = 1024 * 1024;
/** After a failed pass. */
const RETRY = { firstMs: 1_000, maxMs: 30_000 } as const;
/**
 * Many jobs end before a watch would pay off: the pauses between looks before it. Followers of a
 * split log wait for the index.
 */
const LOOKS_MS = { merged: [20, 20, 40, 80], split: [20] } as const;
/** Between two writes of a growing count of dropped bytes. */
const CAPPED_WRITE_MS = 500;

const ENDS = new DOMException("The recording ends", "AbortError");

/** Options for {@linkcode recordLog}. */
export interface RecordLogOptions {
  readonly directory: AttemptDirectory;
  readonly output: "merged" | "split";
  /** The cap on all streams together, in bytes. */
  readonly maxBytes: number;
  readonly clock: Clock;
  /** Called when a pass failed; the next follows with increasing delay. */
  readonly onFailure: (error: unknown) => void;
  readonly watcher: LogWatcher;
  /** Ends the recording as it stands, when the agent stops and the job continues. */
  readonly signal: AbortSignal;
}

/** A recording that runs until it is finished, disposed, or its signal aborts. */
export interface LogRecording extends AsyncDisposable {
  /**
   * Records the last bytes and ends; call it once nothing writes any more.
   *
   * @returns The size of the log, over all streams.
   */
  finish(): Promise<Pick<AttemptOutcome, "logBytes" | "logDroppedBytes">>;
}

/** Starts recording the log of an attempt whose directory exists. */
export function recordLog(options: RecordLogOptions): LogRecording {
  return new Recording(options);
}

class Recording implements LogRecording {
  readonly #options: RecordLogOptions;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #writer: IndexWriter | undefined;
  #indexed: IndexedLog = { ends: {}, timeMs: 0 };
  /** Bytes dropped at the cap; `undefined` while unknown, or while it is not reached. */
  #dropped: number | undefined;
  #droppedOnDisk: number | undefined;
  #droppedWrittenAt = 0;

  constructor(options: RecordLogOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  async finish(): Promise<Pick<AttemptOutcome, "logBytes" | "logDroppedBytes">> {
    const { directory, output, maxBytes, onFailure } = this.#options;
    await this.#end();
    try {
      await this.#record();
      await this.#saveDropped();
    } catch (error) {
      onFailure(error);
    }
    this.#close();
    const view = output === "merged" ? "merged" : "all";
    try {
      const source = { directory, output, maxBytes, settled: true };
      const { bytes, droppedBytes } = await logExtent(source, view);
      return {
        logBytes: bytes,
        ...(droppedBytes === undefined ? {} : { logDroppedBytes: droppedBytes }),
      };
    } catch (error) {
      // A job may have closed its directory; the attempt ends all the same.
      onFailure(error);
      return { logBytes: 0 };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    this.#close();
  }

  async #end(): Promise<void> {
    this.#stop.abort(ENDS);
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { directory, output, clock, watcher, onFailure } = this.#options;
    const signal = AbortSignal.any([this.#options.signal, this.#stop.signal]);
    const backoff = new Backoff(RETRY);
    for (const ms of LOOKS_MS[output]) {
      await clock.sleep(ms, { signal }).catch(ignore("the loop checks the signal"));
      if (signal.aborted) return;
      await this.#record().catch(onFailure);
    }
    using watch = watcher.watch(directory.path);
    while (!signal.aborted) {
      const version = watch.version;
      try {
        await this.#record();
        backoff.reset();
        await clock.sleep(this.#tickMs(), { signal });
        await watch.changed(version, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#close();
        onFailure(error);
        await clock.sleep(backoff.next(), { signal }).catch(ignore("the loop checks the signal"));
      }
    }
  }

  /** Indexes new bytes and cuts those beyond the cap. */
  async #record(): Promise<void> {
    const { output, maxBytes } = this.#options;
    const streams: OutputStream[] = output === "merged" ? ["merged"] : ["stdout", "stderr"];
    const seen = streams.map((stream) => this.#measure(stream));
    if (this.#writer === undefined) {
      if (seen.every(({ size }) => size === 0)) return;
      await this.#open(seen);
    }
    const plan = planRecords(this.#indexed, seen, { maxBytes });
    this.#writer?.append(plan.records);
    this.#indexed = plan.indexed;
    if (plan.cuts.length > 0) await this.#cut(plan.cuts);
  }

  /** Blocks for microseconds, as followers of a split log wait for it. */
  #measure(stream: OutputStream): SeenStream {
    const { directory, clock } = this.#options;
    try {
      const { size, mtime, isFile } = Deno.lstatSync(directory.logFile(stream));
      if (!isFile) return { stream, size: 0, timeMs: 0 };
      return { stream, size, timeMs: mtime?.getTime() ?? clock.now() };
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return { stream, size: 0, timeMs: 0 };
      throw error;
    }
  }

  async #open(seen: readonly SeenStream[]): Promise<void> {
    const { directory } = this.#options;
    this.#dropped ??= this.#droppedOnDisk = await readCapped(directory);
    const sizeOf = (stream: OutputStream) => seen.find((one) => one.stream === stream)?.size ?? 0;
    this.#writer = openIndexWriter(directory.logIndex, {
      merged: sizeOf("merged"),
      stdout: sizeOf("stdout"),
      stderr: sizeOf("stderr"),
    });
    this.#indexed = this.#writer.indexed;
  }

  async #cut(cuts: readonly CutStream[]): Promise<void> {
    const { directory, clock } = this.#options;
    this.#dropped ??= 0;
    // Before the first cut, so that no reader takes a cut log for a complete one.
    if (this.#droppedOnDisk === undefined) await this.#saveDropped();
    for (const { stream, keepBytes, dropBytes } of cuts) {
      using file = openRegular(directory.logFile(stream), { write: true });
      await file?.truncate(keepBytes);
      this.#dropped += dropBytes;
    }
    if (clock.now() - this.#droppedWrittenAt >= CAPPED_WRITE_MS) await this.#saveDropped();
  }

  async #saveDropped(): Promise<void> {
    const dropped = this.#dropped;
    if (dropped === undefined || dropped === this.#droppedOnDisk) return;
    await writeCapped(this.#options.directory, dropped);
    this.#droppedOnDisk = dropped;
    this.#droppedWrittenAt = this.#options.clock.now();
  }

  #tickMs(): number {
    const indexBytes = this.#writer?.bytes ?? 0;
    return indexBytes > totalBytes(this.#indexed) + INDEX_SLACK_BYTES
      ? SLOW_TICK_MS
      : TICK_MS[this.#options.output];
  }

  #close(): void {
    this.#writer?.[Symbol.dispose]();
    this.#writer = undefined;
  }
}
