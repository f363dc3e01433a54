/**
 * Notifies any number of followers of changes in an attempt directory.
 *
 * One watch per directory, shared and reference-counted, all in one inotify instance. A watch carries no data, only a
 * growing version: a follower notes the version, reads to the end of the file, and waits for a
 * later version, so it never misses a change, however slow it is and however many events were
 * merged or dropped.
 *
 * While no watch is available (the directory does not exist yet, or the account's inotify instances,
 * often 128, are used up) the directory is polled. A job that writes line by line causes an event
 * for each, which would halve its speed: such a directory is polled every 2 ms until it calms down.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { type DirectoryWatch, Inotify } from "@lib/foundations/systemd/inotify.ts";
import { Libc } from "@lib/foundations/systemd/libc.ts";

/** How a directory is polled while it is not watched. */
interface Polling {
  readonly everyMs: number;
  readonly times: number;
}

/** While no watch is available. */
const UNAVAILABLE: Polling = { everyMs: 50, times: 1 };
/** While a watch would cost more than polling. */
const BUSY: Polling = { everyMs: 2, times: 25 };
/** So many events in so many milliseconds make a directory busy. */
const BURST_EVENTS = 64;
const BURST_MS = 20;

/** A follower's reference to a directory's watch; disposing releases it. */
export interface LogWatch extends Disposable {
  /** Grows with every change. */
  readonly version: number;
  /**
   * Resolves once the version is later than `version`.
   *
   * Rejects with the signal's reason when `signal` aborts, and when the watch ends.
   */
  changed(version: number, signal: AbortSignal): Promise<void>;
}

/** The watches of one process; disposing ends them all. */
export class LogWatcher implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #inotify = new Inotify(new Libc());
  readonly #directories = new Map<string, SharedWatch>();
  readonly #ending = new Set<Promise<void>>();

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  /** Number of directories being watched. */
  get size(): number {
    return this.#directories.size;
  }

  /** Watches a directory for changes from this moment on. */
  watch(directory: string): LogWatch {
    let shared = this.#directories.get(directory);
    if (shared === undefined) {
      shared = new SharedWatch(directory, { clock: this.#clock, inotify: this.#inotify });
      this.#directories.set(directory, shared);
    }
    const watch = shared;
    watch.holders++;
    let held = true;
    return {
      get version() {
        return watch.version;
      },
      changed: (version, signal) => watch.changed(version, signal),
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        if (--watch.holders === 0) this.#end(directory, watch);
      },
    };
  }

  #end(directory: string, shared: SharedWatch): void {
    if (this.#directories.get(directory) === shared) this.#directories.delete(directory);
    const ended = shared.end();
    this.#ending.add(ended);
    void ended.finally(() => this.#ending.delete(ended));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [directory, shared] of [...this.#directories]) this.#end(directory, shared);
    await Promise.all(this.#ending);
    await this.#inotify[Symbol.asyncDispose]();
  }
}

/** The one watch of a directory. */
class SharedWatch {
  version = 0;
  holders = 0;
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  readonly #inotify: Inotify;
  #watch: DirectoryWatch | undefined;
  /** Events since a time, to notice a burst. */
  #events = { since: 0, count: 0 };
  #next = Promise.withResolvers<void>();

  constructor(
    directory: string,
    { clock, inotify }: { readonly clock: Clock; readonly inotify: Inotify },
  ) {
    this.#directory = directory;
    this.#clock = clock;
    this.#inotify = inotify;
    this.#tryWatch();
    this.#done = this.#run();
  }

  async changed(version: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.version <= version) {
      this.#stop.signal.throwIfAborted();
      await raceAbort(this.#next.promise, signal);
    }
  }

  end(): Promise<void> {
    this.#stop.abort(new DOMException("The watch ends", "AbortError"));
    this.#close();
    this.#notify();
    return this.#done;
  }

  async #run(): Promise<void> {
    const signal = this.#stop.signal;
    while (!signal.aborted) {
      const { everyMs, times } = await this.#listen();
      this.#close();
      try {
        for (let polls = 0; polls < times; polls++) {
          await this.#clock.sleep(everyMs, { signal });
          this.#notify();
        }
      } catch {
        return; // Only the end of the watch interrupts the sleep.
      }
      if (signal.aborted) return;
      this.#tryWatch();
      this.#notify(); // Covers changes between the last poll and the new watch.
    }
  }

  /** Waits until the watch ends, by itself or as there are too many events. */
  async #listen(): Promise<Polling> {
    await this.#watch?.ended;
    return this.#events.count >= BURST_EVENTS ? BUSY : UNAVAILABLE;
  }

  #onEvent(): void {
    this.#notify();
    const now = this.#clock.now();
    if (now - this.#events.since > BURST_MS) this.#events = { since: now, count: 0 };
    if (++this.#events.count === BURST_EVENTS) this.#close();
  }

  #notify(): void {
    this.version++;
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers<void>();
    resolve();
  }

  /** Without a watch the directory is polled; the next poll tries again. */
  #tryWatch(): void {
    this.#events = { since: 0, count: 0 };
    this.#watch = this.#inotify.watch(this.#directory, () => this.#onEvent());
  }

  #close(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }
}
