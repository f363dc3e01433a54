/**
 * A position in one attempt's log.
 *
 * @module
 */
import type { OutputStream } from "@lib/spine/jobs/attempt_directory.ts";
import { endOfView, type IndexRecord } from "@lib/spine/logs/log_index.ts";
import { type LogIndexFile, type LogView, openLogIndex } from "@lib/spine/logs/log_index_file.ts";
import type { LogExtent, LogSource } from "@lib/spine/logs/log_source.ts";
import { MaskedFile, type ReadBounds } from "@lib/spine/logs/masked_file.ts";
import type { SecretPatterns } from "@lib/foundations/secrets/redactor.ts";

/** How far a {@linkcode LogCursor} may read. */
export interface CursorBounds {
  readonly extent: Pick<LogExtent, "bytes" | "streams">;
  readonly end: ReadBounds["end"];
}

/** A position in a view of one attempt's log, moved by reading. */
export interface LogCursor extends Disposable {
  /** The next masked bytes, at most `max`; none if there are none within the bounds. */
  next(max: number, bounds: CursorBounds): Promise<Uint8Array>;
}

/** Opens a cursor at byte `from` of a view. */
export function openLogCursor(
  source: LogSource,
  view: LogView,
  options: { readonly patterns: SecretPatterns; readonly from: number },
): LogCursor {
  return view === "all"
    ? new CombinedCursor(source, options.patterns, options.from)
    : new FileCursor(
      new MaskedFile(source.directory.logFile(view), options.patterns, options.from),
    );
}

class FileCursor implements LogCursor {
  readonly #file: MaskedFile;

  constructor(file: MaskedFile) {
    this.#file = file;
  }

  next(max: number, { extent, end }: CursorBounds): Promise<Uint8Array> {
    return this.#file.take(max, { limit: extent.bytes, end });
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

/**
 * Both streams of a split log in the order of the index.
 *
 * Each stream is masked on its own before they are woven together: a secret
 * whose halves are parted by a line of the other stream is masked all the same.
 */
class CombinedCursor implements LogCursor {
  readonly #source: LogSource;
  readonly #patterns: SecretPatterns;
  readonly #from: number;
  #index: LogIndexFile | undefined;
  #number = 0;
  #streams: { stdout: StreamPosition; stderr: StreamPosition } | undefined;

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
    const part = await stream.file.take(Math.min(room, left), {
      limit: extent.streams[name],
      end,
    });
    stream.at += part.length;
    return part;
  }

  /** The record that holds the next byte; `undefined` after the last one. */
  #record(
    { stdout, stderr }: { stdout: StreamPosition; stderr: StreamPosition },
    extent: CursorBounds["extent"],
  ): IndexRecord | undefined {
    for (;;) {
      const record = this.#index?.at(this.#number);
      if (record === undefined || !within(record, extent)) return undefined;
      if (record.viewEnd > stdout.at + stderr.at) return record;
      this.#number++;
    }
  }

  /** Finds where in each stream the wanted offset lies. */
  #locate(
    extent: CursorBounds["extent"],
  ): { stdout: StreamPosition; stderr: StreamPosition } {
    const index = this.#index;
    const count = index?.soundCount((record) => within(record, extent)) ?? 0;
    this.#number = index?.find("all", this.#from, count) ?? 0;
    const before = index?.at(this.#number - 1);
    const record = this.#number < count ? index?.at(this.#number) : undefined;
    let stdout = before === undefined ? 0 : endOfView(before, "stdout");
    let stderr = before === undefined ? 0 : endOfView(before, "stderr");
    const into = this.#from - stdout - stderr;
    if (record?.stream === "stderr") stderr += into;
    else if (record !== undefined) stdout += into;
    else {
      const intoStdout = Math.min(into, extent.streams.stdout - stdout);
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
  /** The next byte of the stream to be given out. */
  at: number;
  readonly file: MaskedFile;
}

/** Whether everything a record tells of can be read. */
function within(record: IndexRecord, { streams }: CursorBounds["extent"]): boolean {
  return endOfView(record, "stdout") <= streams.stdout &&
    endOfView(record, "stderr") <= streams.stderr;
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
