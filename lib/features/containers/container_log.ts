/**
 * Brings the output of a container into the log files of its attempt.
 *
 * The engine keeps what a container writes. Whoever takes over reads it again from the beginning
 * and passes over what the files have already, so that nothing is missing and nothing is twice,
 * whenever an agent died.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { type ContainerStream, Demultiplexer } from "@lib/foundations/docker/demux.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import { logFilesOf } from "@lib/spine/executors/directory_files.ts";

/** Written at once at most. */
const PENDING_BYTES = 64 * 1024;
/** Between two updates of the count of dropped bytes. */
const TELL_MS = 500;
/** So many bytes beyond the cap are counted at least before the rest is not even read. */
const COUNTED_MIN_BYTES = 1024 * 1024;

/** Options for {@linkcode copyOutput}. */
export interface CopyOutputOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Appends a container's output to the attempt's log files, up to its cap.
 *
 * @param frames From the first byte that the container wrote.
 * @throws {CicdError} `io_failed` if what arrives is no output of a container.
 */
export async function copyOutput(
  handle: AttemptHandle,
  frames: AsyncIterable<Uint8Array>,
  { clock, signal }: CopyOutputOptions,
): Promise<void> {
  using files = new OutputFiles(handle);
  const frame = new Demultiplexer();
  let toldAt = clock.now();
  if (files.isFull) return;
  for await (const chunk of frames) {
    signal.throwIfAborted();
    frame.take(chunk, (stream, bytes) => files.append(stream, bytes));
    files.flush();
    if (files.isFull) return;
    if (clock.now() - toldAt >= TELL_MS) {
      files.tellDropped();
      toldAt = clock.now();
    }
  }
  frame.end();
}

/** One of an attempt's log files. */
interface LogFile {
  readonly file: Deno.FsFile;
  /** Bytes at the beginning of the output that the file has from an earlier life. */
  skip: number;
  /** Bytes that are not written yet, of which the first `pendingBytes` count. */
  readonly pending: Uint8Array;
  pendingBytes: number;
}

/** The log files of an attempt, open for appending; disposing tells what was dropped. */
class OutputFiles implements Disposable {
  readonly #handle: AttemptHandle;
  readonly #files: readonly LogFile[];
  readonly #countedMaxBytes: number;
  /** Bytes that are kept, over all files. */
  #kept = 0;
  #dropped = 0;
  #untold = 0;

  constructor(handle: AttemptHandle) {
    const { spec, directory } = handle;
    this.#handle = handle;
    this.#countedMaxBytes = Math.max(spec.logMaxBytes, COUNTED_MIN_BYTES);
    const files: LogFile[] = [];
    this.#files = files;
    for (const path of logFilesOf(directory, spec.output)) {
      // Not made here: that it exists says that the job was begun.
      const file = Deno.openSync(path, { append: true });
      const size = file.statSync().size;
      files.push({ file, skip: size, pending: new Uint8Array(PENDING_BYTES), pendingBytes: 0 });
      this.#kept += size;
    }
    // Once it was cut the sizes do not tell any more what was read.
    if (this.#kept > spec.logMaxBytes || existsSync(directory.logCapped)) this.#dropped = Infinity;
  }

  /** Whether nothing that comes would change anything. */
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

  /** Writes what was appended and is still held. */
  flush(): void {
    for (const file of this.#files) flush(file);
  }

  /**
   * Makes a file longer by what was dropped: the recorder of the log counts what is beyond the cap
   * and cuts it off again. No block of the disk is used for it.
   */
  tellDropped(): void {
    const [first] = this.#files;
    if (this.#untold === 0 || first === undefined) return;
    const { spec, directory } = this.#handle;
    // Of two files the recorder must have seen first that the bytes before them fill the log.
    if (spec.output === "split" && !existsSync(directory.logCapped)) return;
    first.file.truncateSync(first.file.statSync().size + this.#untold);
    this.#untold = 0;
  }

  [Symbol.dispose](): void {
    try {
      this.tellDropped();
    } finally {
      for (const { file } of this.#files) file.close();
    }
  }

  #drop(file: LogFile, bytes: Uint8Array): void {
    // The first byte too many goes into the file, so that its place is the right one.
    if (this.#dropped === 0) {
      write(file, bytes.subarray(0, 1));
      this.#untold--;
    }
    this.#dropped += bytes.length;
    this.#untold += bytes.length;
  }
}

/** Short frames are put together in memory that is used again and again. */
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
