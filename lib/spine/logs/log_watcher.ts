/**
 * Tells any number of followers that something changed in an attempt directory.
 *
 * One inotify watch per directory, shared and counted. A watch carries no data,
 * only a version that grows: a follower notes the version, reads to the end of
 * the file, and waits for a later version, so no change is ever missed however
 * slow the follower or however many events were merged or dropped on the way.
 *
 * Where no watch can be had (the directory does not exist yet, or the account's
 * inotify instances, often 128, are used up) the directory is polled until one
 * can. A job that writes its lines one by one makes an event of each, which
 * would cost it half its speed: such a directory is looked at every 2 ms instead,
 * until it has calmed down.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";

/** How a directory is looked at while it is not watched. */
interface Pause {
  readonly everyMs: number;
  readonly looks: number;
}

/** Where no watch can be had. */
const AWAY: Pause = { everyMs: 50, looks: 1 };
/** Where the watch would cost more than looking. */
const BUSY: Pause = { everyMs: 2, looks: 25 };
/** So many events in so many milliseconds make a directory busy. */
const BURST_EVENTS = 64;
const BURST_MS = 20;

/** A follower's hold on a directory's watch; disposing gives it up. */
export interface LogWatch extends Disposable {
  /** Grows with every change. */
  readonly version: number;
  /**
   * Resolves once the version is later than `version`.
   *
   * Rejects with the signal's reason when `signal` aborts, and when the watch
   * ends under the follower.
   */
  changed(version: number, signal: AbortSignal): Promise<void>;
}

/** Options for {@linkcode LogWatcher}. */
export interface LogWatcherOptions {
  readonly clock: Clock;
}

/** The watches of one process; disposing ends them all. */
export class LogWatcher implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #directories = new Map<string, DirectoryWatch>();
  readonly #ending = new Set<Promise<void>>();

  constructor(options: LogWatcherOptions) {
    this.#clock = options.clock;
  }

  /** Directories being watched. */
  get size(): number {
    return this.#directories.size;
  }

  /** Watches a directory; changes from this moment on are seen. */
  watch(directory: string): LogWatch {
    let shared = this.#directories.get(directory);
    if (shared === undefined) {
      shared = new DirectoryWatch(directory, this.#clock);
      this.#directories.set(directory, shared);
    }
    const found = shared;
    found.holders++;
    let held = true;
    return {
      get version() {
        return found.version;
      },
      changed: (version, signal) => found.changed(version, signal),
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        if (--found.holders === 0) this.#end(directory, found);
      },
    };
  }

  #end(directory: string, shared: DirectoryWatch): void {
    if (this.#directories.get(directory) === shared) this.#directories.delete(directory);
    const ended = shared.end();
    this.#ending.add(ended);
    void ended.finally(() => this.#ending.delete(ended));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [directory, shared] of [...this.#directories]) this.#end(directory, shared);
    await Promise.all(this.#ending);
  }
}

/** The one watch of a directory. */
class DirectoryWatch {
  version = 0;
  holders = 0;
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #watcher: Deno.FsWatcher | undefined;
  #next = Promise.withResolvers<void>();

  constructor(directory: string, clock: Clock) {
    this.#directory = directory;
    this.#clock = clock;
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
    this.#tell();
    return this.#done;
  }

  async #run(): Promise<void> {
    const signal = this.#stop.signal;
    while (!signal.aborted) {
      const pause = await this.#listen();
      this.#close();
      try {
        for (let looks = 0; looks < pause.looks; looks++) {
          await this.#clock.sleep(pause.everyMs, { signal });
          this.#tell();
        }
      } catch {
        return; // Only the end of the watch interrupts the sleep.
      }
      if (signal.aborted) return;
      this.#tryWatch();
      this.#tell(); // For what changed between the last look and the new watch.
    }
  }

  /** Passes events on until there are none to be had, or too many. */
  async #listen(): Promise<Pause> {
    let since = 0;
    let events = 0;
    try {
      for await (const _event of this.#watcher ?? []) {
        this.#tell();
        const now = this.#clock.now();
        if (now - since > BURST_MS) {
          since = now;
          events = 0;
        }
        if (++events === BURST_EVENTS) return BUSY;
      }
      return AWAY;
    } catch {
      return AWAY; // A watch that fails is replaced, like one that could not be had.
    }
  }

  #tell(): void {
    this.version++;
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers<void>();
    resolve();
  }

  #tryWatch(): void {
    try {
      this.#watcher = Deno.watchFs(this.#directory, { recursive: false });
    } catch {
      this.#watcher = undefined; // Polled meanwhile; tried again after the next look.
    }
  }

  #close(): void {
    const watcher = this.#watcher;
    this.#watcher = undefined;
    try {
      watcher?.close();
    } catch (error) {
      // Leaving its iteration has closed it before.
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}
