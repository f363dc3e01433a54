/**
 * Tells any number of followers that something changed in an attempt folder.
 *
 * One inotify watch per folder, shared and counted. A watch carries no data,
 * only a version that grows: a follower notes the version, reads to the end of
 * the file, and waits for a later version, so no change is ever missed however
 * slow the follower or however many events were merged or dropped on the way.
 *
 * Where no watch can be had (the folder does not exist yet, or the account's
 * inotify instances, often 128, are used up) the folder is polled until one
 * can. A job that writes its lines one by one makes an event of each, which
 * would cost it half its speed: such a folder is looked at every 2 ms instead,
 * until it has calmed down.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";

/** How a folder is looked at while it is not watched. */
interface Pause {
  readonly everyMs: number;
  readonly looks: number;
}

/** Where no watch can be had. */
const AWAY: Pause = { everyMs: 50, looks: 1 };
/** Where the watch would cost more than looking. */
const BUSY: Pause = { everyMs: 2, looks: 25 };
/** So many events in so many milliseconds make a folder busy. */
const BURST_EVENTS = 64;
const BURST_MS = 20;

/** A follower's hold on a folder's watch; disposing gives it up. */
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
  readonly #folders = new Map<string, FolderWatch>();
  readonly #ending = new Set<Promise<void>>();

  constructor(options: LogWatcherOptions) {
    this.#clock = options.clock;
  }

  /** Folders being watched. */
  get size(): number {
    return this.#folders.size;
  }

  /** Watches a folder; changes from this moment on are seen. */
  watch(folder: string): LogWatch {
    let shared = this.#folders.get(folder);
    if (shared === undefined) {
      shared = new FolderWatch(folder, this.#clock);
      this.#folders.set(folder, shared);
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
        if (--found.holders === 0) this.#end(folder, found);
      },
    };
  }

  #end(folder: string, shared: FolderWatch): void {
    if (this.#folders.get(folder) === shared) this.#folders.delete(folder);
    const ended = shared.end();
    this.#ending.add(ended);
    void ended.finally(() => this.#ending.delete(ended));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [folder, shared] of [...this.#folders]) this.#end(folder, shared);
    await Promise.all(this.#ending);
  }
}

/** The one watch of a folder. */
class FolderWatch {
  version = 0;
  holders = 0;
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #watcher: Deno.FsWatcher | undefined;
  #next = Promise.withResolvers<void>();

  constructor(folder: string, clock: Clock) {
    this.#folder = folder;
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
      this.#watcher = Deno.watchFs(this.#folder, { recursive: false });
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
