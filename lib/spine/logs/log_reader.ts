/**
 * Reads a job's log from disk, masked, from any offset on, and follows it.
 *
 * The log of a job is its attempts' logs, one after another, each with its setup
 * log before it; so is its offset space. Bytes are pulled: a reader holds one chunk, the tail that may be the
 * beginning of a secret, and nothing else, however slow it is.
 *
 * Where the last attempt's log was cut at its cap, a line that says so follows
 * the last kept byte. That line lies outside the offset space: `offset` does not
 * count it, it is left out of a read with a `to`, and nothing ever follows it, so
 * that who counts what came resumes at the right byte.
 *
 * A read that does not follow ends where the log ended when the read began. If
 * the attempt is still alive then, and the last bytes may be the beginning of a
 * secret, they are masked: what comes next is not known.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { cappedLine } from "@lib/spine/logs/log_cap.ts";
import { type CursorBounds, openLogCursor } from "@lib/spine/logs/log_cursor.ts";
import { type FollowPort, Settling } from "@lib/spine/logs/log_follow.ts";
import { LogOutput } from "@lib/spine/logs/log_output.ts";
import {
  liveExtent,
  type LogExtent,
  logExtent,
  type LogSource,
  viewOf,
} from "@lib/spine/logs/log_source.ts";
import { LogTimes } from "@lib/spine/logs/log_times.ts";
import { LOG_CHUNK_BYTES } from "@lib/spine/logs/masked_file.ts";
import type { SecretPatterns } from "@lib/foundations/secrets/redactor.ts";

const NEWLINE = 10;

/** Options for {@linkcode readLog}. */
export interface ReadLogOptions {
  /** The attempts' logs in order; only the last may be unsettled. */
  readonly sources: readonly LogSource[];
  readonly patterns: SecretPatterns;
  /** First byte wanted. */
  readonly from: number;
  /** The byte after the last one wanted; absent: to the end. */
  readonly to?: number | undefined;
  /** One stream of a split log; absent: all of them. */
  readonly stream?: "stdout" | "stderr" | undefined;
  /** Go on until the job has ended; absent: only what is there. */
  readonly follow?: FollowPort | undefined;
  /**
   * Put its time before each line. The clock gives the time of lines that the
   * index has not reached.
   */
  readonly timestamps?: Clock | undefined;
  readonly signal: AbortSignal;
}

/** Chunks of a log, none longer than 64 KiB, each owned by who gets it. */
export interface LogReading extends AsyncIterable<Uint8Array> {
  /** Where in the offset space the chunk handed out last ended; resume there. */
  readonly offset: number;
}

/**
 * Reads a log. To be iterated once; to leave it while it waits, abort `signal`.
 *
 * The iteration rejects with the signal's reason when `signal` aborts, and with
 * a `CicdError` `invalid_request` if the log holds no such stream.
 */
export function readLog(options: ReadLogOptions): LogReading {
  const output = new LogOutput({ from: options.from, timestamps: options.timestamps });
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
  let base = 0;
  let note: string | undefined;
  for (let number = 0; to === undefined || output.offset < to; number++) {
    signal.throwIfAborted();
    const source = sources[number] ?? await follow?.nextSource?.(number, signal);
    if (source === undefined) break;
    if (source.settled && number < sources.length - 1) {
      const { bytes } = await logExtent(source, viewOf(source, stream));
      if (base + bytes <= from) {
        base += bytes;
        continue;
      }
    }
    const extent = yield* readAttempt(options, output, { source, base });
    base += extent.bytes;
    note = extent.droppedBytes === undefined
      ? undefined
      : cappedLine(source.maxBytes, extent.droppedBytes);
  }
  if (to === undefined && note !== undefined) yield* output.note(note, timestamps?.now());
}

/** One attempt's log, and where it begins in the job's. */
interface PlacedSource {
  readonly source: LogSource;
  readonly base: number;
}

/** Reads one attempt's log to its end; returns what it came to. */
async function* readAttempt(
  options: ReadLogOptions,
  output: LogOutput,
  { source, base }: PlacedSource,
): AsyncGenerator<Uint8Array, LogExtent, undefined> {
  const { follow, patterns, timestamps, signal } = options;
  const view = viewOf(source, options.stream);
  const to = (options.to ?? Infinity) - base;
  let at = Math.max(0, output.offset - base);
  // Begins one byte early, to learn whether a line begins at the wanted byte.
  let early = at > 0;
  if (early) at--;
  else if (timestamps !== undefined) yield* output.endLine();
  using cursor = openLogCursor(source, view, { patterns, from: at });
  using times = timestamps && new LogTimes(source, view, timestamps);
  using watch = source.settled ? undefined : follow?.watch(source.directory.path);
  using settling = new Settling(source, { follow, signal });
  for (;;) {
    // In this order: with the end known first, the size seen next is final.
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
