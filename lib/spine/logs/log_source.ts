/**
 * The log of one attempt on disk, and how much of it there is.
 *
 * `log.capped` holds the number of bytes dropped at the size cap, in decimal, and exists before the
 * first byte is dropped. The number is a lower bound: a job writes straight to the file, so what it
 * adds between a measurement and the cut is not counted.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import { readIfThere, statIfThereSync, writeAtomic } from "@lib/foundations/files/records.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { endOfView, type StreamSizes } from "@lib/spine/logs/log_index.ts";
import { type LogView, openLogIndex } from "@lib/spine/logs/log_index_file.ts";
import { SETUP_READ_MAX_BYTES } from "@lib/spine/logs/setup_log.ts";
import type { SecretPatterns } from "@lib/foundations/secrets/redactor.ts";

/** The log of one attempt. */
export interface LogSource {
  readonly directory: AttemptDirectory;
  readonly output: "merged" | "split";
  /** Bytes of log that are kept. */
  readonly maxBytes: number;
  /** The log no longer changes: the attempt, or its setup, is over. */
  readonly settled: boolean;
  /** This is the log of the setup, not the job's output. */
  readonly isSetup?: true;
  /** The secrets in it; absent: those of the rest of the reading. */
  readonly patterns?: SecretPatterns;
}

/**
 * Returns the setup log of an attempt: read like a merged log, from files of its own.
 *
 * Its writer limits its size, not the job's cap; a job may have added to it.
 */
export function setupSource(directory: AttemptDirectory, settled: boolean): LogSource {
  return {
    directory: { ...directory, logFile: () => directory.setupLog, logIndex: directory.setupIndex },
    output: "merged",
    maxBytes: SETUP_READ_MAX_BYTES,
    settled,
    isSetup: true,
  };
}

/** How much of an attempt's log can be read now. */
export interface LogExtent {
  /** Bytes in the view; offsets run from 0 to this. */
  readonly bytes: number;
  /** Bytes in each stream's file that belong to the log. */
  readonly streams: StreamSizes;
  /** Bytes dropped at the cap; `undefined` if it was not reached. */
  readonly droppedBytes: number | undefined;
}

/**
 * Returns the view that shows `stream`, or all streams.
 *
 * @throws {CicdError} `invalid_request` if the log has no such stream.
 */
export function viewOf(source: LogSource, stream: "stdout" | "stderr" | undefined): LogView {
  if (source.output === "split") return stream ?? "all";
  if (stream === undefined) return "merged";
  throw new CicdError(
    "invalid_request",
    `Cannot read stream "${stream}" of the log: the job's output is merged`,
    { issues: [{ path: "stream", message: "leave it out, or submit with output: split" }] },
  );
}

/**
 * Measures an attempt's log.
 *
 * A merged log is its file. Of a split log only what the index covers counts, since the index
 * orders the bytes; once the attempt is settled, bytes that the index missed follow its last
 * record, first those of stdout, then of stderr.
 */
export async function logExtent(source: LogSource, view: LogView): Promise<LogExtent> {
  const { directory, maxBytes, output, settled } = source;
  // The file is about the job's output, not about the setup log beside it.
  const capped = source.isSetup === true ? undefined : await readCapped(directory);
  if (output === "merged") {
    const size = fileSize(directory.logFile("merged"));
    const merged = Math.min(size, maxBytes);
    return extentOf(view, { merged, stdout: 0, stderr: 0 }, addDropped(capped, size - merged));
  }
  const stdoutSize = fileSize(directory.logFile("stdout"));
  const stderrSize = fileSize(directory.logFile("stderr"));
  let { stdout, stderr } = indexed(directory, {
    merged: 0,
    stdout: stdoutSize,
    stderr: stderrSize,
  });
  let unseen = 0;
  if (settled) {
    const room = Math.max(0, maxBytes - stdout - stderr);
    const moreStdout = Math.min(stdoutSize - stdout, room);
    stdout += moreStdout;
    stderr += Math.min(stderrSize - stderr, room - moreStdout);
    unseen = stdoutSize + stderrSize - stdout - stderr;
  }
  return extentOf(view, { merged: 0, stdout, stderr }, addDropped(capped, unseen));
}

/**
 * Returns how far a follower of a running attempt may read now; cheap.
 *
 * A merged log may be read to its end, wherever that is; a split log as far as the index.
 */
export function liveExtent({ directory, output, maxBytes }: LogSource, view: LogView): LogExtent {
  const streams = output === "merged"
    ? { merged: maxBytes, stdout: 0, stderr: 0 }
    : indexed(directory, undefined);
  return extentOf(view, streams, undefined);
}

/**
 * Returns the size of a job's log in bytes: its attempts' logs, one after another.
 *
 * @throws {CicdError} `invalid_request` if the log has no such stream.
 */
export async function jobLogSize(
  sources: readonly LogSource[],
  stream?: "stdout" | "stderr",
): Promise<number> {
  let bytes = 0;
  for (const source of sources) bytes += (await logExtent(source, viewOf(source, stream))).bytes;
  return bytes;
}

/** Reads the bytes dropped at the cap; `undefined` if the cap was not reached. */
export async function readCapped(directory: AttemptDirectory): Promise<number | undefined> {
  let text: string | undefined;
  try {
    text = await readIfThere(directory.logCapped);
  } catch (error) {
    // A job made it huge: damaged as well.
    if (!(error instanceof CicdError)) throw error;
    text = "";
  }
  return text === undefined ? undefined : parseCapped(text);
}

/** Writes the bytes dropped at the cap, replacing the file atomically. */
export function writeCapped(directory: AttemptDirectory, droppedBytes: number): Promise<void> {
  return writeAtomic(directory.logCapped, `${droppedBytes}\n`);
}

/** Parses `log.capped`; a damaged file still says that the cap was reached. */
export function parseCapped(text: string): number {
  const match = /^(\d{1,15})\n?$/.exec(text);
  return match === null ? 0 : Number(match[1]);
}

/** Returns the line that ends a log cut at its cap; offsets do not count it. */
export function cappedLine(maxBytes: number, droppedBytes: number): string {
  const dropped = droppedBytes === 0 ? "further" : `at least ${droppedBytes}`;
  return `[cicd-toolkit] log limit ${formatSize(maxBytes)} reached: ${dropped} bytes dropped\n`;
}

function fileSize(path: string): number {
  const info = statIfThereSync(path);
  return info?.isFile ? info.size : 0;
}

/** Bytes that the index covers; a record may claim bytes that a power failure took from the log. */
function indexed(directory: AttemptDirectory, sizes: StreamSizes | undefined): StreamSizes {
  using index = openLogIndex(directory.logIndex);
  const last = index?.at(index.validCount(sizes) - 1);
  if (last === undefined) return { merged: 0, stdout: 0, stderr: 0 };
  return { merged: 0, stdout: endOfView(last, "stdout"), stderr: endOfView(last, "stderr") };
}

function extentOf(
  view: LogView,
  streams: StreamSizes,
  droppedBytes: number | undefined,
): LogExtent {
  const bytes = view === "all" ? streams.stdout + streams.stderr : streams[view];
  return { bytes, streams, droppedBytes };
}

function addDropped(capped: number | undefined, unseen: number): number | undefined {
  return capped === undefined && unseen === 0 ? undefined : (capped ?? 0) + unseen;
}
