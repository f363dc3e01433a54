/**
 * Reads a job's log from disk, masked, from any offset on, and follows it.
 *
 * The log of a job is its attempts' logs, one after another, each preceded by its setup log; offsets
 * run over all of them. Reading is pull-based: a reader holds one chunk and the tail that may begin
 * a secret, however slow it is.
 *
 * Where an attempt's log was cut at its cap, a line that says so follows its last kept byte, or the
 * lines of all attempts follow the log. Offsets do not count these lines, and a read with a `to`
 * omits them.
 *
 * A read that does not follow ends where the log ended when the read began. If the attempt is still
 * running and the last bytes may begin a secret, they are masked, as the rest is not known.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import { type CursorBounds, LOG_CHUNK_BYTES, openLogCursor } from "@lib/spine/logs/log_cursor.ts";
import { LogOutput, LogTimes } from "@lib/spine/logs/log_output.ts";
import {
  cappedLine,
  liveExtent,
  type LogExtent,
  logExtent,
  type LogSource,
  viewOf,
} from "@lib/spine/logs/log_source.ts";
import type { LogWatch } from "@lib/spine/logs/log_watcher.ts";
import type { SecretPatterns } from "@lib/foundations/secrets/redactor.ts";

const NEWLINE = 10;

/** The services that a follower needs beyond the files. */
export interface FollowPort {
  /** Watches an attempt directory; see `LogWatcher`. */
  readonly watch: (directory: string) => LogWatch;
  /**
   * Resolves once the attempt is settled: its log has its last byte, and the index its last record.
   *
   * Rejects with the signal's reason when `signal` aborts; any other rejection ends the reading.
   */
  readonly settled: (source: LogSource, signal: AbortSignal) => Promise<void>;
  /**
   * Resolves with the part of the job's log after its first `count` ones once its attempt has
   * begun, or with `undefined` once it is known that there is none.
   */
  readonly nextSource: (count: number, signal: AbortSignal) => Promise<LogSource | undefined>;
}

/**
 * The place of the lines about attempts whose logs were cut: after each attempt; at the end of the
 * log, for a client that counts bytes and can tell the end; or none.
 */
export type CutNotes = "each" | "end" | "none";

/** Options for {@linkcode readLog}. */
export interface ReadLogOptions {
  /** The attempts' logs in order; only the last may be unsettled. */
  readonly sources: readonly LogSource[];
  /** Compiles what is masked; called once, before the first byte is read. */
  readonly patterns: () => Promise<SecretPatterns>;
  /** Offset of the first byte. */
  readonly from: number;
  /** Offset after the last byte; absent: the end. */
  readonly to?: number | undefined;
  /** One stream of a split log; absent: all of them. */
  readonly stream?: "stdout" | "stderr" | undefined;
  /** Continues until the job has ended; absent: reads what exists. */
  readonly follow?: FollowPort | undefined;
  /** Places the lines about cut logs. @default {"each"} */
  readonly notes?: CutNotes | undefined;
  /** Puts its time before each line; the clock dates lines that the index does not have yet. */
  readonly timestamps?: Clock | undefined;
  readonly signal: AbortSignal;
}

/** Chunks of a log, each at most 64 KiB and owned by its receiver. */
export interface LogReading extends AsyncIterable<Uint8Array> {
  /** The end of the last chunk, counted in the job's log; resume there. */
  readonly offset: number;
}

/**
 * Reads a log. Iterate it once; to leave it while it waits, abort `signal`.
 *
 * The iteration rejects with the signal's reason when `signal` aborts, and with a `CicdError`
 * `invalid_request` if the log has no such stream.
 */
export function readLog(options: ReadLogOptions): LogReading {
  const timestamps = options.timestamps !== undefined;
  const output = new LogOutput({ from: options.from, timestamps });
  const chunks = readSources(options, output);
  return {
    get offset() {
      return output.offset;
    },
    [Symbol.asyncIterator]: () => chunks,
  };
}

async function* readSources(
  options: ReadLogOptions,
  output: LogOutput,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { sources, from, to, stream, follow, timestamps, signal } = options;
  const notes = to === undefined ? options.notes ?? "each" : "none";
  const patterns = await options.patterns();
  let base = 0;
  let cuts = "";
  for (let number = 0; to === undefined || output.offset < to; number++) {
    signal.throwIfAborted();
    const source = sources[number] ?? await follow?.nextSource(number, signal);
    if (source === undefined) break;
    if (source.settled && number < sources.length - 1) {
      const { bytes } = await logExtent(source, viewOf(source, stream));
      if (base + bytes <= from) {
        base += bytes;
        continue;
      }
    }
    const extent = yield* readAttempt(options, output, {
      source,
      base,
      patterns: source.patterns ?? patterns,
    });
    base += extent.bytes;
    if (extent.droppedBytes === undefined || notes === "none") continue;
    cuts += cappedLine(source.maxBytes, extent.droppedBytes);
    if (notes === "end") continue;
    yield* output.note(cuts, timestamps?.now());
    cuts = "";
  }
  if (cuts !== "") yield* output.note(cuts, timestamps?.now());
}

/** Reads one attempt's log, which begins at `base` in the job's, to its end; returns its extent. */
async function* readAttempt(
  options: ReadLogOptions,
  output: LogOutput,
  { source, base, patterns }: {
    readonly source: LogSource;
    readonly base: number;
    readonly patterns: SecretPatterns;
  },
): AsyncGenerator<Uint8Array, LogExtent, undefined> {
  const { follow, timestamps, signal } = options;
  const view = viewOf(source, options.stream);
  const to = (options.to ?? Infinity) - base;
  let at = Math.max(0, output.offset - base);
  // Starts one byte early, to learn whether a line begins at the first byte.
  let early = at > 0;
  if (early) at--;
  else if (timestamps !== undefined) yield* output.endLine();
  using cursor = openLogCursor(source, view, { patterns, from: at });
  using times = timestamps && new LogTimes(source, view, timestamps);
  using watch = source.settled ? undefined : follow?.watch(source.directory.path);
  using settling = new Settling(source, follow, signal);
  for (;;) {
    // In this order: once the attempt is settled, the size measured next is final.
    const settled = settling.reached;
    const version = watch?.version ?? 0;
    const alive = !settled && watch !== undefined;
    const extent = alive ? liveExtent(source, view) : await logExtent({ ...source, settled }, view);
    const bounds: CursorBounds = { extent, end: alive ? "more" : endOf(extent, settled) };
    while (at < to) {
      signal.throwIfAborted();
      const chunk = await cursor.next(Math.min(LOG_CHUNK_BYTES, to - at), bounds);
      if (chunk.length === 0) break;
      const skipped = early ? 1 : 0;
      if (early) output.atLineStart = chunk[0] === NEWLINE;
      early = false;
      yield* output.put(chunk.subarray(skipped), at + skipped, times);
      at += chunk.length;
    }
    if (!alive || at >= to) return extent;
    await settling.wait(watch, version);
  }
}

function endOf(extent: LogExtent, settled: boolean): "complete" | "cut" {
  return settled && extent.droppedBytes === undefined ? "complete" : "cut";
}

/** Waits for a change of one attempt's log, or for its end. */
class Settling implements Disposable {
  /** The attempt is settled; read this before the log's size. */
  reached: boolean;
  #failure: { readonly error: unknown } | undefined;
  readonly #signal: AbortSignal;
  /** Aborts when there is nothing more to wait for. */
  readonly #over = new AbortController();
  readonly #waiting: AbortSignal;

  constructor(source: LogSource, follow: FollowPort | undefined, signal: AbortSignal) {
    this.reached = source.settled;
    this.#signal = signal;
    this.#waiting = AbortSignal.any([signal, this.#over.signal]);
    if (follow !== undefined && !source.settled) {
      void this.#await(follow, source).catch(ignore("kept for the next wait"));
    }
  }

  /**
   * Waits until the directory has changed since `version`, or the attempt is settled.
   *
   * Rejects with the signal's reason, or with the reason why the end cannot be known.
   */
  async wait(watch: LogWatch, version: number): Promise<void> {
    try {
      if (!this.reached) await watch.changed(version, this.#waiting);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (this.#failure !== undefined) throw this.#failure.error;
      if (!this.reached) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#over.abort(new DOMException("The reading has ended", "AbortError"));
  }

  async #await(follow: FollowPort, source: LogSource): Promise<void> {
    try {
      await follow.settled(source, this.#waiting);
      this.reached = true;
    } catch (error) {
      this.#failure = { error };
    }
    this.#over.abort(new DOMException("The attempt is settled", "AbortError"));
  }
}
