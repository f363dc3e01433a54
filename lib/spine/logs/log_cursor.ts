/**
 * Reads one attempt's log from a position on, with its secrets masked.
 *
 * @module
 */
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import type { OutputStream } from "@lib/spine/jobs/attempt_directory.ts";
import { endOfView, type IndexRecord, isCovered } from "@lib/spine/logs/log_index.ts";
import { type LogIndexFile, type LogView, openLogIndex } from "@lib/spine/logs/log_index_file.ts";
import type { LogExtent, LogSource } from "@lib/spine/logs/log_source.ts";
import { Redactor, type SecretPatterns } from "@lib/foundations/secrets/redactor.ts";

/** Bytes read at once. */
export const LOG_CHUNK_BYTES = 64 * 1024;

/** Records that are passed at once; each of our own covers bytes, one written by a job may not. */
const PASSED_MAX = 64;

/** How far a {@linkcode LogCursor} may read. */
export interface CursorBounds {
  readonly extent: Pick<LogExtent, "bytes" | "streams">;
  /**
   * The meaning of the end of the extent: more may come, the text ends there, or it is cut off
   * there, and a secret with it.
   */
  readonly end: "more" | "complete" | "cut";
}

/** A position in a view of one attempt's log, moved by reading. */
export interface LogCursor extends Disposable {
  /** Returns the next masked bytes, at most `max`; none if there are none within the bounds. */
  next(max: number, bounds: CursorBounds): Promise<Uint8Array>;
}

/** Opens a cursor at byte `from` of a view. */
export function openLogCursor(
  source: LogSource,
  view: LogView,
  { patterns, from }: { readonly patterns: SecretPatterns; readonly from: number },
): LogCursor {
  if (view === "all") return new CombinedCursor(source, patterns, from);
  const file = new MaskedFile(source.directory.logFile(view), patterns, from);
  return {
    next: (max, { extent, end }) => file.take(max, extent.bytes, end),
    [Symbol.dispose]: () => file[Symbol.dispose](),
  };
}

/**
 * Both streams of a split log in the order of the index.
 *
 * Each stream is masked before they are merged, so that a secret is masked even where a line of the
 * other stream splits it.
 */
class CombinedCursor implements LogCursor {
  readonly #source: LogSource;
  readonly #patterns: SecretPatterns;
  readonly #from: number;
  #index: LogIndexFile | undefined;
  #number = 0;
  #streams: StreamPositions | undefined;

  constructor(source: LogSource, patterns: SecretPatterns, from: number) {
    this.#source = source;
    this.#patterns = patterns;
    this.#from = from;
  }

  async next(max: number, bounds: CursorBounds): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let room = max; room > 0;) {
      const part = await this.#part(room, bounds);
      if (part.length === 0) break;
      parts.push(part);
      room -= part.length;
    }
    return concat(parts);
  }

  [Symbol.dispose](): void {
    this.#index?.[Symbol.dispose]();
    this.#streams?.stdout.file[Symbol.dispose]();
    this.#streams?.stderr.file[Symbol.dispose]();
  }

  async #part(room: number, { extent, end }: CursorBounds): Promise<Uint8Array> {
    if (this.#streams === undefined && extent.bytes <= this.#from) return new Uint8Array(0);
    this.#index ??= openLogIndex(this.#source.directory.logIndex);
    const streams = this.#streams ??= this.#locate(extent);
    const record = this.#record(streams, extent);
    let name: "stdout" | "stderr";
    let left: number;
    if (record !== undefined) {
      name = record.stream === "stderr" ? "stderr" : "stdout";
      left = record.streamEnd - streams[name].at;
    } else {
      name = extent.streams.stdout > streams.stdout.at ? "stdout" : "stderr";
      left = extent.streams[name] - streams[name].at;
    }
    if (left <= 0) return new Uint8Array(0);
    const stream = streams[name];
    const part = await stream.file.take(Math.min(room, left), extent.streams[name], end);
    stream.at += part.length;
    return part;
  }

  /** Returns the record that holds the next byte; `undefined` after the last one. */
  #record(
    { stdout, stderr }: StreamPositions,
    extent: CursorBounds["extent"],
  ): IndexRecord | undefined {
    for (let passed = 0; passed <= PASSED_MAX; passed++) {
      const record = this.#index?.at(this.#number);
      if (record === undefined || !isCovered(record, extent.streams)) return undefined;
      if (record.viewEnd > stdout.at + stderr.at) return record;
      this.#number++;
    }
    return undefined;
  }

  /** Finds the starting offset in each stream. */
  #locate({ streams }: CursorBounds["extent"]): StreamPositions {
    const index = this.#index;
    const count = index?.validCount(streams) ?? 0;
    this.#number = index?.find("all", this.#from, count) ?? 0;
    const before = index?.at(this.#number - 1);
    const record = this.#number < count ? index?.at(this.#number) : undefined;
    let stdout = before === undefined ? 0 : endOfView(before, "stdout");
    let stderr = before === undefined ? 0 : endOfView(before, "stderr");
    const into = this.#from - stdout - stderr;
    if (record?.stream === "stderr") stderr += into;
    else if (record !== undefined) stdout += into;
    else {
      const intoStdout = Math.min(into, streams.stdout - stdout);
      stdout += intoStdout;
      stderr += into - intoStdout;
    }
    return { stdout: this.#open("stdout", stdout), stderr: this.#open("stderr", stderr) };
  }

  #open(stream: OutputStream, at: number): StreamPosition {
    return { at, file: new MaskedFile(this.#source.directory.logFile(stream), this.#patterns, at) };
  }
}

interface StreamPosition {
  /** The next byte of the stream to return. */
  at: number;
  readonly file: MaskedFile;
}

interface StreamPositions {
  readonly stdout: StreamPosition;
  readonly stderr: StreamPosition;
}

/** A position in one log file; a file that does not exist counts as empty. */
class MaskedFile implements Disposable {
  readonly #path: string;
  readonly #redactor: Redactor;
  readonly #buffer = new Uint8Array(LOG_CHUNK_BYTES);
  #file: Deno.FsFile | undefined;
  /** The next byte to read from the file. */
  #readAt: number;
  /** Bytes before the starting offset that the redactor has yet to return. */
  #skip: number;
  #ready = new Uint8Array(0);
  #flushed = false;

  constructor(path: string, patterns: SecretPatterns, from: number) {
    this.#path = path;
    this.#redactor = new Redactor(patterns);
    this.#skip = Math.min(from, patterns.maxLookbehind);
    this.#readAt = from - this.#skip;
  }

  /**
   * Returns the next 1 to `max` masked bytes before byte `limit` of the file; none if there are
   * none now. An empty result with another `end` than `more` is the last one.
   */
  async take(max: number, limit: number, end: CursorBounds["end"]): Promise<Uint8Array> {
    while (this.#ready.length === 0) {
      if (this.#flushed) return this.#ready;
      const chunk = await this.#read(limit);
      if (chunk.length > 0) this.#deliver(this.#redactor.push(chunk));
      else if (end === "more") return this.#ready;
      else {
        this.#flushed = true;
        this.#deliver(this.#redactor.flush(end));
      }
    }
    const taken = this.#ready.subarray(0, max);
    this.#ready = this.#ready.subarray(taken.length);
    return taken;
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #deliver(bytes: Uint8Array<ArrayBuffer>): void {
    const dropped = Math.min(this.#skip, bytes.length);
    this.#skip -= dropped;
    this.#ready = bytes.subarray(dropped);
  }

  async #read(limit: number): Promise<Uint8Array> {
    const length = Math.min(this.#buffer.length, limit - this.#readAt);
    if (length <= 0) return new Uint8Array(0);
    this.#file ??= this.#open();
    const count = await this.#file?.read(this.#buffer.subarray(0, length)) ?? 0;
    this.#readAt += count;
    return this.#buffer.subarray(0, count);
  }

  #open(): Deno.FsFile | undefined {
    const file = openRegular(this.#path, { read: true });
    file?.seekSync(this.#readAt, Deno.SeekMode.Start);
    return file;
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
