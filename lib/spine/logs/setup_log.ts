/**
 * Writes the log of what is done before a job begins: checkout, image, caches.
 *
 * Readers see it before the job's output, as one log with it. Where the output begins in that log
 * depends on how long the setup log is; so once `setup.done` exists nothing is added any more, and
 * nothing of the job runs before it exists.
 *
 * An agent that died in the middle of a setup leaves its lines where they are. The next one goes on
 * behind them, after a line that says so; what readers have seen stays as it was.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { formatSize } from "@lib/core/size.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { type IndexWriter, openIndexWriter } from "@lib/spine/logs/log_index_writer.ts";
import {
  compilePatterns,
  Redactor,
  type SecretPatterns,
} from "@lib/foundations/secrets/redactor.ts";
import { secretForms } from "@lib/foundations/secrets/secret_forms.ts";
import { isSetupDone } from "@lib/spine/logs/setup_done.ts";

/** What each line begins with, so that it is told from the job's own output. */
const SETUP_PREFIX = "[setup] ";
/** Longest line, in bytes, with its prefix and its end. */
export const SETUP_LINE_MAX_BYTES = 4 * 1024;
/** Most bytes of one attempt's setup log. */
const SETUP_LOG_MAX_BYTES = 4 * 1024 * 1024;

/** Characters of a line that are looked at; a longer one is cut far before its end anyway. */
const LOOKED_AT_CHARS = 16 * SETUP_LINE_MAX_BYTES;
const CUT_MARK = " …";
const NEWLINE = 10;

/** Options for {@linkcode openSetupLog}. */
export interface SetupLogOptions {
  readonly clock: Clock;
  /** Every secret of the job: of a line that must be cut, no secret's beginning is to be left. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Called once if a line cannot be written; the log says nothing more then. */
  readonly onFailure: (error: unknown) => void;
  /** @default {SETUP_LOG_MAX_BYTES} */
  readonly maxBytes?: number;
}

/** An attempt's setup log, open for writing; disposing leaves it unfinished. */
export interface SetupLog extends Disposable {
  /**
   * Appends one line. Control characters are escaped, too much is cut off, and a line that cannot
   * be written is reported: never throws.
   */
  say(line: string): void;
  /**
   * Ends the log; to be called before anything of the job is started, and when the setup failed.
   *
   * @throws {Deno.errors} If this cannot be written down; the job must not be started then.
   */
  done(): void;
}

/**
 * Opens the setup log of an attempt whose directory exists; no file is made before the first line.
 */
export function openSetupLog(directory: AttemptDirectory, options: SetupLogOptions): SetupLog {
  return new SetupLogFile(directory, options);
}

class SetupLogFile implements SetupLog {
  readonly #directory: AttemptDirectory;
  readonly #options: SetupLogOptions;
  readonly #maxBytes: number;
  readonly #note: Uint8Array;
  #files: SetupFiles | undefined;
  #patterns: SecretPatterns | undefined;
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
    Deno.openSync(this.#directory.setupDone, { write: true, create: true, mode: 0o600 }).close();
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  /** Opens the files, unless nothing may be added to them any more. */
  #open(): void {
    if (isSetupDone(this.#directory)) return this.#close();
    const files = this.#files = new SetupFiles(this.#directory);
    if (files.size === 0) return;
    const tail = files.tail(this.#note.length);
    if (tail.length === this.#note.length && tail.every((byte, at) => byte === this.#note[at])) {
      return this.#close();
    }
    // A power cut may have torn the last line.
    if (tail.at(-1) !== NEWLINE) files.append(new Uint8Array([NEWLINE]), this.#options.clock.now());
    this.#append(encodeLine("the agent was started anew: the setup begins again"));
  }

  /** Adds a line unless the log has ended; it ends when the line would not fit. */
  #append(bytes: Uint8Array): void {
    const files = this.#files;
    if (files === undefined) return;
    const full = files.size + bytes.length + this.#note.length > this.#maxBytes;
    files.append(full ? this.#note : bytes, this.#options.clock.now());
    if (full) this.#close();
  }

  #encode(line: string): Uint8Array {
    const bytes = encodeLine(line.slice(0, LOOKED_AT_CHARS));
    if (bytes.length <= SETUP_LINE_MAX_BYTES && line.length <= LOOKED_AT_CHARS) return bytes;
    this.#patterns ??= compilePatterns(secretForms(this.#options.secrets).patterns);
    const redactor = new Redactor(this.#patterns);
    const masked = redactor.push(bytes);
    return cutLine(masked);
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
  #size: number;

  constructor(directory: AttemptDirectory) {
    this.#log = Deno.openSync(directory.setupLog, {
      read: true,
      append: true,
      create: true,
      mode: 0o600,
    });
    try {
      this.#size = this.#log.statSync().size;
      const sizes = { merged: this.#size, stdout: 0, stderr: 0 };
      this.#index = openIndexWriter(directory.setupIndex, sizes);
    } catch (error) {
      this.#log.close();
      throw error;
    }
  }

  /** Bytes in the log. */
  get size(): number {
    return this.#size;
  }

  /** The last `count` bytes; all if there are fewer. */
  tail(count: number): Uint8Array {
    const wanted = new Uint8Array(Math.min(count, this.#size));
    this.#log.seekSync(-wanted.length, Deno.SeekMode.End);
    for (let at = 0; at < wanted.length;) at += this.#log.readSync(wanted.subarray(at)) ?? count;
    return wanted;
  }

  append(bytes: Uint8Array, timeMs: number): void {
    for (let at = 0; at < bytes.length;) at += this.#log.writeSync(bytes.subarray(at));
    this.#size += bytes.length;
    const end = this.#size;
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
 * Control characters, line ends among them, and those that turn the direction of writing, as JSON
 * writes them: in this form a secret that holds one is still masked.
 */
function escapeControls(line: string): string {
  return line.trimEnd().replace(
    // deno-lint-ignore no-control-regex -- those are what is looked for
    /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g,
    (char) => {
      const json = JSON.stringify(char).slice(1, -1);
      return json === char ? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}` : json;
    },
  );
}

/** The beginning of a line, cut between two characters and marked as cut. */
function cutLine(bytes: Uint8Array): Uint8Array {
  const mark = new TextEncoder().encode(`${CUT_MARK}\n`);
  let end = Math.min(bytes.length, SETUP_LINE_MAX_BYTES - mark.length);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  const cut = new Uint8Array(end + mark.length);
  cut.set(bytes.subarray(0, end));
  cut.set(mark, end);
  return cut;
}
