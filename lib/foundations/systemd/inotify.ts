/**
 * Watches directories that a job can write.
 *
 * The runtime's own watcher opens what it sees, and a FIFO without a writer then stops the whole
 * program. Here the kernel reports events, and nothing is opened.
 *
 * @module
 */
import type { InotifyQueue, Libc } from "@lib/foundations/systemd/libc.ts";

/** A watch of one directory; disposing ends it. */
export interface DirectoryWatch extends Disposable {
  /** Resolves when the kernel no longer watches the directory, for example because it is gone. */
  readonly ended: Promise<void>;
}

const READ_BYTES = 64 * 1024;
/** Of an event: its watch, mask, cookie, and the length of the name that follows. */
const HEADER_BYTES = 16;
const IN_Q_OVERFLOW = 0x4000;
const IN_IGNORED = 0x8000;

interface Listener {
  readonly onEvent: () => void;
  readonly end: () => void;
}

/** The watches of one process, in one inotify instance that exists while there are any. */
export class Inotify implements AsyncDisposable {
  readonly #libc: Libc;
  readonly #listeners = new Map<number, Set<Listener>>();
  #queue: InotifyQueue | undefined;
  #reading: Promise<void> = Promise.resolve();

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /**
   * Calls `onEvent` for each change of the directory or a file in it; some may be merged.
   *
   * @returns `undefined` if it cannot be watched: it is missing or no directory, or a limit of the
   * account or the program's permissions forbid it.
   */
  watch(path: string, onEvent: () => void): DirectoryWatch | undefined {
    const queue = this.#queue ?? this.#open();
    const number = queue?.add(path);
    if (queue === undefined || number === undefined) {
      if (queue !== this.#queue) queue?.[Symbol.dispose]();
      return undefined;
    }
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const listener = { onEvent, end };
    const listeners = (this.#listeners.get(number) ?? new Set()).add(listener);
    this.#listeners.set(number, listeners);
    if (queue !== this.#queue) {
      this.#queue = queue;
      this.#reading = this.#read(queue);
    }
    return {
      ended,
      [Symbol.dispose]: () => {
        end();
        listeners.delete(listener);
        if (listeners.size > 0 || this.#listeners.get(number) !== listeners) return;
        this.#listeners.delete(number);
        // Its last event also ends the wait for events.
        queue.remove(number);
      },
    };
  }

  /** Ends all watches. */
  async [Symbol.asyncDispose](): Promise<void> {
    const numbers = [...this.#listeners.keys()];
    this.#endAll();
    for (const number of numbers) this.#queue?.remove(number);
    await this.#reading;
  }

  #open(): InotifyQueue | undefined {
    try {
      return this.#libc.openInotify();
    } catch {
      return undefined; // Calls into libc are not permitted.
    }
  }

  async #read(queue: InotifyQueue): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    try {
      while (this.#listeners.size > 0) {
        const length = await queue.read(buffer);
        if (length <= 0) return;
        this.#deliver(new DataView(buffer.buffer, 0, length));
      }
    } finally {
      this.#queue = undefined;
      queue[Symbol.dispose]();
      this.#endAll();
    }
  }

  #deliver(events: DataView): void {
    for (let at = 0; at + HEADER_BYTES <= events.byteLength;) {
      const number = events.getInt32(at, true);
      const mask = events.getUint32(at + 4, true);
      at += HEADER_BYTES + events.getUint32(at + 12, true);
      const listeners = (mask & IN_Q_OVERFLOW) === 0
        ? [...this.#listeners.get(number) ?? []]
        : [...this.#listeners.values()].flatMap((some) => [...some]);
      if ((mask & IN_IGNORED) !== 0) this.#listeners.delete(number);
      for (const { onEvent, end } of listeners) {
        onEvent();
        if ((mask & IN_IGNORED) !== 0) end();
      }
    }
  }

  #endAll(): void {
    for (const listeners of this.#listeners.values()) {
      for (const { end } of listeners) end();
    }
    this.#listeners.clear();
  }
}
