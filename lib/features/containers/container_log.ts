/**
 * Copies the output of a container into the log files of its attempt.
 *
 * The engine keeps the output. After a restart, the agent reads it again from the beginning and
 * skips what the files have already, so nothing is lost or repeated.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { type ContainerStream, Demultiplexer } from "@lib/foundations/docker/demux.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { RecentRecords } from "@lib/features/containers/recent_records.ts";
import { logFilesOf } from "@lib/spine/executors/directory_files.ts";

/** Size of a write buffer. */
const PENDING_BYTES = 64 * 1024;
/** Time between two updates of the count of dropped bytes. */
const REPORT_MS = 500;
/** Bytes beyond the cap that are counted at least; the rest may stay unread. */
const COUNTED_MIN_BYTES = 1024 * 1024;

/** Options for {@linkcode copyOutput}. */
export interface CopyOptions {
  /** Set: the frames have times, and the records are added to it. */
  readonly recent?: RecentRecords | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Appends a container's output to the attempt's log files, up to its cap.
 *
 * @param frames From the first byte that the container wrote.
 * @throws {CicdError} `io_failed` if the frames are invalid.
 */
export async function copyOutput(
  handle: AttemptHandle,
  frames: AsyncIterable<Uint8Array>,
  { recent, clock, signal }: CopyOptions,
): Promise<void> {
  using files = new OutputFiles(handle, "start");
  const frame = new Demultiplexer(recent?.add.bind(recent));
  let reportedAt = clock.now();
  if (files.isFull) return;
  for await (const chunk of frames) {
    signal.throwIfAborted();
    frame.take(chunk, (stream, bytes) => files.append(stream, bytes));
    files.flush();
    if (files.isFull) return;
    if (clock.now() - reportedAt >= REPORT_MS) {
      files.reportDropped();
      reportedAt = clock.now();
    }
  }
  frame.end();
}

/**
 * Appends what {@linkcode copyOutput} did not get, from the last records of the log.
 *
 * @param frames The last records, with their times.
 * @returns `false` if it is uncertain what is missing.
 */
export async function copyRest(
  handle: AttemptHandle,
  frames: AsyncIterable<Uint8Array>,
  recent: RecentRecords,
): Promise<boolean> {
  using files = new OutputFiles(handle, "end");
  if (files.isFull) return true;
  const tail: { stream: ContainerStream; stamp: string; bytes: Uint8Array; at: number }[] = [];
  const frame = new Demultiplexer((stream, length, stamp) => {
    tail.push({ stream, stamp: LATIN1.decode(stamp), bytes: new Uint8Array(length), at: 0 });
  });
  for await (const chunk of frames) {
    frame.take(chunk, (_stream, bytes) => {
      const record = tail.at(-1);
      record?.bytes.set(bytes, record.at);
      if (record !== undefined) record.at += bytes.length;
    });
  }
  frame.end();
  const missing = recent.missingOf(tail);
  for (const { stream, bytes } of missing ?? []) files.append(stream, bytes);
  files.flush();
  return missing !== undefined;
}

const LATIN1 = new TextDecoder("latin1");

/** One of an attempt's log files. */
interface LogFile {
  readonly file: Deno.FsFile;
  /** Bytes of the output that the file has from an earlier process. */
  skip: number;
  /** Buffer of unwritten bytes; the first `pendingBytes` count. */
  readonly pending: Uint8Array;
  pendingBytes: number;
}

/** The log files of an attempt, open for appending; disposing reports dropped bytes. */
class OutputFiles implements Disposable {
  readonly #handle: AttemptHandle;
  readonly #files: readonly LogFile[];
  readonly #countedMaxBytes: number;
  /** Bytes kept in all files. */
  #kept = 0;
  #dropped = 0;
  #unreported = 0;

  /** @param from Where the output begins that will be appended. */
  constructor(handle: AttemptHandle, from: "start" | "end") {
    const { spec, directory } = handle;
    this.#handle = handle;
    this.#countedMaxBytes = Math.max(spec.logMaxBytes, COUNTED_MIN_BYTES);
    this.#files = logFilesOf(directory, spec.output).map((path) => {
      // Not created here: its existence means that the job was begun.
      const file = openRegular(path, { append: true });
      if (file === undefined) throw new Deno.errors.NotFound(`No log file "${path}"`);
      const { size } = file.statSync();
      this.#kept += size;
      const skip = from === "start" ? size : 0;
      return { file, skip, pending: new Uint8Array(PENDING_BYTES), pendingBytes: 0 };
    });
    // Once it was cut, the sizes do not show how much was read.
    if (this.#kept > spec.logMaxBytes || existsSync(directory.logCapped)) this.#dropped = Infinity;
  }

  /** Tells if further output would change nothing. */
  get isFull(): boolean {
    return this.#dropped >= this.#countedMaxBytes;
  }

  append(stream: ContainerStream, bytes: Uint8Array): void {
    const file = this.#files[stream === "stderr" ? this.#files.length - 1 : 0];
    if (file === undefined || this.isFull) return;
    const fresh = bytes.subarray(file.skip);
    file.skip -= bytes.length - fresh.length;
    const kept = fresh.subarray(0, Math.max(0, this.#handle.spec.logMaxBytes - this.#kept));
    write(file, kept);
    this.#kept += kept.length;
    if (fresh.length > kept.length) this.#drop(file, fresh.subarray(kept.length));
  }

  /** Writes the buffers. */
  flush(): void {
    for (const file of this.#files) flush(file);
  }

  /**
   * Extends a file by the dropped bytes: the log recorder counts the bytes beyond the cap and cuts
   * them off again. They take no blocks of the disk.
   */
  reportDropped(): void {
    const [first] = this.#files;
    if (this.#unreported === 0 || first === undefined) return;
    const { spec, directory } = this.#handle;
    // With two files, the recorder must first see that the kept bytes fill the log.
    if (spec.output === "split" && !existsSync(directory.logCapped)) return;
    first.file.truncateSync(first.file.statSync().size + this.#unreported);
    this.#unreported = 0;
  }

  [Symbol.dispose](): void {
    try {
      this.reportDropped();
    } finally {
      for (const { file } of this.#files) file.close();
    }
  }

  #drop(file: LogFile, bytes: Uint8Array): void {
    // The first byte too many is written, so that its position is right.
    if (this.#dropped === 0) {
      write(file, bytes.subarray(0, 1));
      this.#unreported--;
    }
    this.#dropped += bytes.length;
    this.#unreported += bytes.length;
  }
}

/** Collects short frames in a buffer that is reused. */
function write(file: LogFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    const part = bytes.subarray(at, at + PENDING_BYTES - file.pendingBytes);
    file.pending.set(part, file.pendingBytes);
    file.pendingBytes += part.length;
    at += part.length;
    if (file.pendingBytes === PENDING_BYTES) flush(file);
  }
}

function flush(log: LogFile): void {
  for (let at = 0; at < log.pendingBytes;) {
    at += log.file.writeSync(log.pending.subarray(at, log.pendingBytes));
  }
  log.pendingBytes = 0;
}
