/**
 * Writes the log of a job's setup: checkout, image, caches.
 *
 * Readers see it as one log with the job's output, which follows it. The offset of the output
 * depends on the length of the setup log; so the setup log is final once `setup.done` exists, and
 * nothing of the job runs before.
 *
 * If an agent dies during a setup, its lines stay. The next agent appends after a line that says so;
 * what readers have seen does not change.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { formatSize } from "@lib/core/size.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { type IndexWriter, openIndexWriter } from "@lib/spine/logs/log_index_file.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { openRegular } from "@lib/foundations/files/regular_file.ts";

/** Begins each line, to set it apart from the job's own output. */
const SETUP_PREFIX = "[setup] ";
/** Longest line, in bytes, with prefix and line break. */
export const SETUP_LINE_MAX_BYTES = 4 * 1024;
/** Largest setup log of one attempt, in bytes. */
const SETUP_LOG_MAX_BYTES = 4 * 1024 * 1024;
/** Bytes read of one: a line that a crash tore may be beyond its limit, more is a job's own. */
export const SETUP_READ_MAX_BYTES = SETUP_LOG_MAX_BYTES + SETUP_LINE_MAX_BYTES;

/** Characters of a line that are processed; a longer one is cut far earlier anyway. */
const PROCESSED_CHARS = 16 * SETUP_LINE_MAX_BYTES;
const CUT_MARK = " …";
const NEWLINE = 10;

/** Options for {@linkcode openSetupLog}. */
export interface SetupLogOptions {
  readonly clock: Clock;
  /** Masks every secret of the job. */
  readonly mask: (text: string) => string;
  /** Called once if a line cannot be written; later lines are dropped. */
  readonly onFailure: (error: unknown) => void;
  /** @default {SETUP_LOG_MAX_BYTES} */
  readonly maxBytes?: number;
}

/** An attempt's setup log, open for writing; disposing closes it unfinished. */
export interface SetupLog extends Disposable {
  /**
   * Appends one line; never throws. Masks secrets, escapes control characters, cuts a long line, and
   * reports one that cannot be written.
   */
  say(line: string): void;
  /**
   * Ends the log; call it before anything of the job starts, and when the setup failed.
   *
   * @throws {Deno.errors} If this cannot be recorded; the job must not be started then.
   */
  done(): void;
}

/** Opens the setup log of an attempt whose directory exists; creates no file before the first line. */
export function openSetupLog(directory: AttemptDirectory, options: SetupLogOptions): SetupLog {
  return new SetupLogFile(directory, options);
}

class SetupLogFile implements SetupLog {
  readonly #directory: AttemptDirectory;
  readonly #options: SetupLogOptions;
  readonly #maxBytes: number;
  readonly #note: Uint8Array;
  #files: SetupFiles | undefined;
  #closed = false;

  constructor(directory: AttemptDirectory, options: SetupLogOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#maxBytes = options.maxBytes ?? SETUP_LOG_MAX_BYTES;
    this.#note = encodeLine(
      `further lines are left out: the limit of ${formatSize(this.#maxBytes)} is reached`,
    );
  }

  say(line: string): void {
    if (this.#closed) return;
    try {
      if (this.#files === undefined) this.#open();
      this.#append(this.#encode(line));
    } catch (error) {
      this.#close();
      this.#options.onFailure(error);
    }
  }

  done(): void {
    this.#close();
    openRegular(this.#directory.setupDone, { write: true, create: true, mode: 0o600 }).close();
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  /** Opens the files, unless the log is final. */
  #open(): void {
    if (existsSync(this.#directory.setupDone)) return this.#close();
    const files = this.#files = new SetupFiles(this.#directory);
    if (files.size === 0) return;
    const tail = files.tail(this.#note.length);
    if (tail.length === this.#note.length && tail.every((byte, at) => byte === this.#note[at])) {
      return this.#close();
    }
    // A power cut may have torn the last line.
    if (tail.at(-1) !== NEWLINE) files.append(new Uint8Array([NEWLINE]), this.#options.clock.now());
    this.#append(encodeLine("the agent restarted: the setup starts again"));
  }

  /** Adds a line unless the log has ended; ends the log if the line does not fit. */
  #append(bytes: Uint8Array): void {
    const files = this.#files;
    if (files === undefined) return;
    const full = files.size + bytes.length + this.#note.length > this.#maxBytes;
    files.append(full ? this.#note : bytes, this.#options.clock.now());
    if (full) this.#close();
  }

  #encode(line: string): Uint8Array {
    const bytes = encodeLine(this.#options.mask(line.slice(0, PROCESSED_CHARS)));
    const fits = bytes.length <= SETUP_LINE_MAX_BYTES && line.length <= PROCESSED_CHARS;
    return fits ? bytes : cutLine(bytes);
  }

  #close(): void {
    this.#closed = true;
    this.#files?.[Symbol.dispose]();
    this.#files = undefined;
  }
}

/** The text and its times: `setup.log` and `setup.index`. */
class SetupFiles implements Disposable {
  readonly #log: Deno.FsFile;
  readonly #index: IndexWriter;
  /** Bytes in the log. */
  size: number;

  constructor(directory: AttemptDirectory) {
    this.#log = openRegular(directory.setupLog, {
      read: true,
      append: true,
      create: true,
      mode: 0o600,
    });
    try {
      this.size = this.#log.statSync().size;
      this.#index = openIndexWriter(directory.setupIndex, {
        merged: this.size,
        stdout: 0,
        stderr: 0,
      });
    } catch (error) {
      this.#log.close();
      throw error;
    }
  }

  /** Returns the last `count` bytes, or all if there are fewer. */
  tail(count: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(count, this.size));
    this.#log.seekSync(-bytes.length, Deno.SeekMode.End);
    for (let at = 0; at < bytes.length;) at += this.#log.readSync(bytes.subarray(at)) ?? count;
    return bytes;
  }

  append(bytes: Uint8Array, timeMs: number): void {
    for (let at = 0; at < bytes.length;) at += this.#log.writeSync(bytes.subarray(at));
    this.size += bytes.length;
    const end = this.size;
    this.#index.append([{ stream: "merged", timeMs, viewEnd: end, streamEnd: end }]);
  }

  [Symbol.dispose](): void {
    this.#index[Symbol.dispose]();
    this.#log.close();
  }
}

function encodeLine(line: string): Uint8Array {
  return new TextEncoder().encode(`${SETUP_PREFIX}${escapeControls(line)}\n`);
}

/**
 * Escapes control characters, line breaks and direction changes as JSON does; a secret with one of
 * them is masked in this form too.
 */
function escapeControls(line: string): string {
  return line.trimEnd().replace(
    // deno-lint-ignore no-control-regex -- these are what is replaced
    /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (char) => {
      const json = JSON.stringify(char).slice(1, -1);
      return json === char ? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}` : json;
    },
  );
}

/** Returns the beginning of a line, cut between two characters and marked as cut. */
function cutLine(bytes: Uint8Array): Uint8Array {
  const mark = new TextEncoder().encode(`${CUT_MARK}\n`);
  let end = Math.min(bytes.length, SETUP_LINE_MAX_BYTES - mark.length);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  const cut = new Uint8Array(end + mark.length);
  cut.set(bytes.subarray(0, end));
  cut.set(mark, end);
  return cut;
}
