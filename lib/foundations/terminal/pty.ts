/**
 * The master side of a pseudoterminal.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { ReadStream } from "node:tty";
import { ignore } from "@lib/core/errors.ts";
import type { PtyBinding } from "@lib/foundations/terminal/native.ts";

/** The size of a terminal, in cells. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** Calls of the system that the runtime does not offer; `Libc` has them. */
export interface DescriptorCalls {
  writeSome(fd: number, bytes: Uint8Array<ArrayBuffer>): number;
  writable(fd: number, ms: number): Promise<void>;
  close(fd: number): void;
}

/** An open terminal, as who shows it uses it. Disposing it hangs it up. */
export interface TerminalLine extends Disposable {
  /** Resolves when nothing more can be read. */
  readonly ended: Promise<void>;
  /** Bytes that wait until the program reads. */
  readonly unwritten: number;
  /** Stops reading: the program is held once the buffers are full. */
  pause(): void;
  /** Reads on. */
  resume(): void;
  /** Writes what was typed; resolves once the terminal has taken it, or is closed. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Tells the program the size. */
  resize(size: TerminalSize): void;
  /** Lets the terminal end with its program: once that is gone, what is left is read, and no more. */
  closeSlave(): void;
}

/** Options for {@linkcode Pty}. */
export interface PtyOptions {
  readonly master: number;
  /** Kept open, so that the terminal is there before and after its program. */
  readonly slave?: number;
  readonly binding: PtyBinding;
  readonly calls: DescriptorCalls;
  readonly onData: (bytes: Uint8Array<ArrayBuffer>) => void;
}

/** Longest wait for space, in milliseconds; then it is tried again. */
const WAIT_MS = 1_000;
/** Written at once; more would keep the event loop from everything else. */
const WRITE_BYTES = 16 * 1024;

/** An open master. Disposing it hangs up the terminal. */
export class Pty implements TerminalLine {
  readonly #options: PtyOptions;
  readonly #stream: ReadStream;
  readonly #ended = Promise.withResolvers<void>();
  #queue: Promise<void> = Promise.resolve();
  #isOpen = true;
  #unwritten = 0;
  #hasSlave: boolean;

  constructor(options: PtyOptions) {
    this.#options = options;
    this.#hasSlave = options.slave !== undefined;
    this.#stream = new ReadStream(options.master);
    this.#stream.on("data", (bytes) => options.onData(new Uint8Array(Buffer.from(bytes))));
    // EIO: the program's side is closed.
    this.#stream.on("error", () => this.#ended.resolve());
    this.#stream.on("close", () => this.#ended.resolve());
  }

  /** Resolves when nothing more can be read. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Stops reading: the program is held once the system's buffer is full. */
  pause(): void {
    this.#stream.pause();
  }

  /** Reads on. */
  resume(): void {
    this.#stream.resume();
  }

  /** Bytes that wait until the program reads. */
  get unwritten(): number {
    return this.#unwritten;
  }

  /** Writes what was typed; resolves once the terminal has taken it, or is closed. */
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#unwritten += bytes.length;
    return this.#queue = this.#queue.then(() => this.#write(bytes))
      .finally(() => this.#unwritten -= bytes.length);
  }

  /** Tells the program the size. */
  resize({ columns, rows }: TerminalSize): void {
    const { binding, master } = this.#options;
    if (this.#isOpen) binding.resize(master, columns, rows);
  }

  /** Lets the terminal end with its program: once that is gone, what is left is read, and no more. */
  closeSlave(): void {
    const { slave, calls } = this.#options;
    if (this.#hasSlave && slave !== undefined) calls.close(slave);
    this.#hasSlave = false;
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stream.destroy();
    this.closeSlave();
  }

  async #write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    for (let at = 0; at < bytes.length && this.#isOpen;) {
      const part = bytes.subarray(at, at + WRITE_BYTES);
      let count: number;
      try {
        count = this.#options.calls.writeSome(this.#options.master, part);
      } catch (error) {
        // Closed on the program's side: nobody reads it.
        return ignore("its end is reported")(error);
      }
      at += count;
      if (count === 0) await this.#options.calls.writable(this.#options.master, WAIT_MS);
    }
  }
}
