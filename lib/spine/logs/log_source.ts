/**
 * Where the log of one attempt lies, and how much of it there is.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { AttemptDirectory, OutputStream } from "@lib/spine/jobs/attempt_directory.ts";
import { readCapped } from "@lib/spine/logs/log_cap.ts";
import { endOfView } from "@lib/spine/logs/log_index.ts";
import { type LogView, openLogIndex } from "@lib/spine/logs/log_index_file.ts";

/** The log of one attempt. */
export interface LogSource {
  readonly directory: AttemptDirectory;
  readonly output: "merged" | "split";
  /** Bytes of log that are kept. */
  readonly maxBytes: number;
  /** Whether the log does not change any more: the attempt, or its setup, is over. */
  readonly settled: boolean;
  /** What was done before the job began, rather than the job's output. */
  readonly isSetup?: true;
}

/**
 * The setup log of an attempt: read like a merged log, from files of its own.
 *
 * It is kept small by its writer, not by a cap of the job's.
 */
export function setupSource(directory: AttemptDirectory, settled: boolean): LogSource {
  return {
    directory: { ...directory, logFile: () => directory.setupLog, logIndex: directory.setupIndex },
    output: "merged",
    maxBytes: Number.MAX_SAFE_INTEGER,
    settled,
    isSetup: true,
  };
}

/** How much of an attempt's log can be read now. */
export interface LogExtent {
  /** Bytes in the wanted view; offsets run from 0 to this. */
  readonly bytes: number;
  /** Bytes in each stream's file that belong to the log. */
  readonly streams: Readonly<Record<OutputStream, number>>;
  /** Bytes dropped at the cap; `undefined` if it was not reached. */
  readonly droppedBytes: number | undefined;
}

/**
 * The view of a source that is wanted.
 *
 * @param stream One stream of a split log; absent for all of them.
 * @throws {CicdError} `invalid_request` if the log holds no such stream.
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
 * A merged log is its file. Of a split log only what the index covers counts,
 * since the index gives bytes their place; once the attempt is settled, bytes
 * the index missed follow its last record, first stdout's, then stderr's.
 */
export async function logExtent(source: LogSource, view: LogView): Promise<LogExtent> {
  const { directory, maxBytes } = source;
  const capped = await readCapped(directory);
  if (source.output === "merged") {
    const size = await fileSize(directory.logFile("merged"));
    const merged = Math.min(size, maxBytes);
    return {
      bytes: merged,
      streams: { merged, stdout: 0, stderr: 0 },
      droppedBytes: addDropped(capped, size - merged),
    };
  }
  const stdoutSize = await fileSize(directory.logFile("stdout"));
  const stderrSize = await fileSize(directory.logFile("stderr"));
  let { stdout, stderr } = indexedBytes(directory, stdoutSize, stderrSize);
  let unseen = 0;
  if (source.settled) {
    const room = Math.max(0, maxBytes - stdout - stderr);
    const moreStdout = Math.min(stdoutSize - stdout, room);
    const moreStderr = Math.min(stderrSize - stderr, room - moreStdout);
    stdout += moreStdout;
    stderr += moreStderr;
    unseen = stdoutSize + stderrSize - stdout - stderr;
  }
  return {
    bytes: bytesOf(view, { stdout, stderr }),
    streams: { merged: 0, stdout, stderr },
    droppedBytes: addDropped(capped, unseen),
  };
}

/**
 * How far a follower of an attempt that is alive may read now; cheap.
 *
 * A merged log may be read wherever it ends; a split log as far as the index.
 */
export function liveExtent({ directory, output, maxBytes }: LogSource, view: LogView): LogExtent {
  if (output === "merged") {
    const streams = { merged: maxBytes, stdout: 0, stderr: 0 };
    return { bytes: maxBytes, streams, droppedBytes: undefined };
  }
  const { stdout, stderr } = indexedBytes(directory, Infinity, Infinity);
  return {
    bytes: bytesOf(view, { stdout, stderr }),
    streams: { merged: 0, stdout, stderr },
    droppedBytes: undefined,
  };
}

/**
 * Bytes of one attempt's log that can be read now.
 *
 * @throws {CicdError} `invalid_request` if the log holds no such stream.
 */
export async function logSize(
  source: LogSource,
  stream?: "stdout" | "stderr",
): Promise<number> {
  return (await logExtent(source, viewOf(source, stream))).bytes;
}

/** Bytes of a job's log: its attempts' logs, one after another. */
export async function jobLogSize(
  sources: readonly LogSource[],
  stream?: "stdout" | "stderr",
): Promise<number> {
  let bytes = 0;
  for (const source of sources) bytes += await logSize(source, stream);
  return bytes;
}

/** Size of a file in bytes; 0 if it does not exist. */
async function fileSize(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

function indexedBytes(
  directory: AttemptDirectory,
  stdoutSize: number,
  stderrSize: number,
): { stdout: number; stderr: number } {
  using index = openLogIndex(directory.logIndex);
  if (index === undefined) return { stdout: 0, stderr: 0 };
  // A record may claim bytes that a power failure took from the log itself.
  const count = index.soundCount((record) =>
    endOfView(record, "stdout") <= stdoutSize && endOfView(record, "stderr") <= stderrSize
  );
  const last = index.at(count - 1);
  if (last === undefined) return { stdout: 0, stderr: 0 };
  return { stdout: endOfView(last, "stdout"), stderr: endOfView(last, "stderr") };
}

function bytesOf(
  view: LogView,
  { stdout, stderr }: { readonly stdout: number; readonly stderr: number },
): number {
  return view === "stdout" ? stdout : view === "stderr" ? stderr : stdout + stderr;
}

function addDropped(capped: number | undefined, unseen: number): number | undefined {
  if (capped === undefined && unseen === 0) return undefined;
  return (capped ?? 0) + unseen;
}
