/**
 * A recording of a terminal in asciicast v2, which asciinema plays.
 *
 * What is typed is not recorded: passwords are typed.
 *
 * @module
 */
import { dirname } from "node:path";
import { openRegular } from "@lib/foundations/files/regular_file.ts";
import type { TerminalSize } from "@lib/foundations/terminal/pty.ts";

/** Options for {@linkcode Recording}. */
export interface RecordingOptions {
  readonly path: string;
  readonly maxBytes: number;
  /** When the terminal was opened. */
  readonly startedAt: number;
  /** Of a new recording; absent: the one in the file goes on. */
  readonly header?: Readonly<Record<string, unknown>>;
  readonly now: () => number;
  /** Called once, when it is full or cannot be written. */
  readonly onStopped: (why: string) => void;
}

/** A recording that is being made. */
export class Recording implements Disposable {
  readonly #options: RecordingOptions;
  readonly #decoder = new TextDecoder();
  #file: Deno.FsFile | undefined;
  #bytes: number;

  /** Begins a recording in a new file, or continues one. */
  constructor(options: RecordingOptions) {
    const { path, header } = options;
    this.#options = options;
    Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#file = header === undefined
      ? openRegular(path, { append: true, create: true, mode: 0o600 })
      : Deno.openSync(path, { createNew: true, append: true, mode: 0o600 });
    this.#bytes = this.#file.statSync().size;
    if (header !== undefined) this.#write({ version: 2, ...header });
  }

  /** Records output; a character that is cut waits for its rest. */
  output(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (text !== "") this.#event("o", text);
  }

  /** Records a change of the size. */
  resize({ columns, rows }: TerminalSize): void {
    this.#event("r", `${columns}x${rows}`);
  }

  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #event(kind: "o" | "r", text: string): void {
    this.#write([(this.#options.now() - this.#options.startedAt) / 1_000, kind, text]);
  }

  #write(line: unknown): void {
    if (this.#file === undefined) return;
    const bytes = new TextEncoder().encode(`${JSON.stringify(line)}\n`);
    const { maxBytes, onStopped } = this.#options;
    if (this.#bytes + bytes.length > maxBytes) {
      this[Symbol.dispose]();
      return onStopped("it has reached terminals.record_max");
    }
    try {
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
      this.#bytes += bytes.length;
    } catch (error) {
      this[Symbol.dispose]();
      onStopped(error instanceof Error ? error.message : String(error));
    }
  }
}
