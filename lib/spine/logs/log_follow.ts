/**
 * Waiting for more of a log, or for its end.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";
import type { LogSource } from "@lib/spine/logs/log_source.ts";
import type { LogWatch } from "@lib/spine/logs/log_watcher.ts";

/** What a follower needs to know beyond the files. */
export interface FollowPort {
  /** Watches an attempt directory; see `LogWatcher`. */
  readonly watch: (directory: string) => LogWatch;
  /**
   * Resolves once the attempt is settled: its log has its last byte, and the
   * index its last record.
   *
   * Rejects with the signal's reason when `signal` aborts; another rejection
   * ends the reading with it.
   */
  readonly settled: (source: LogSource, signal: AbortSignal) => Promise<void>;
  /**
   * The job's log after its first `count` ones, once its attempt is begun;
   * `undefined` once it is known that there will be none. Absent: there is none.
   */
  readonly nextSource?:
    | ((count: number, signal: AbortSignal) => Promise<LogSource | undefined>)
    | undefined;
}

/** Options for {@linkcode Settling}. */
export interface SettlingOptions {
  readonly follow: FollowPort | undefined;
  readonly signal: AbortSignal;
}

/** Knows whether one attempt is settled, and waits for that or for a change. */
export class Settling implements Disposable {
  #reached: boolean;
  #failure: { readonly error: unknown } | undefined;
  readonly #signal: AbortSignal;
  /** Aborts when there is nothing more to wait for. */
  readonly #over = new AbortController();
  readonly #waiting: AbortSignal;

  constructor(source: LogSource, { follow, signal }: SettlingOptions) {
    this.#reached = source.settled;
    this.#signal = signal;
    this.#waiting = AbortSignal.any([signal, this.#over.signal]);
    if (follow !== undefined && !source.settled) {
      void this.#await(follow, source).catch(ignore("kept for the next wait"));
    }
  }

  /** Whether the attempt is settled; look before the log's size. */
  get reached(): boolean {
    return this.#reached;
  }

  /**
   * Waits until the directory has changed since `version`, or the attempt is settled.
   *
   * Rejects with the signal's reason, or with why the end cannot be known.
   */
  async wait(watch: LogWatch, version: number): Promise<void> {
    try {
      if (!this.#reached) await watch.changed(version, this.#waiting);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (this.#failure !== undefined) throw this.#failure.error;
      if (!this.#reached) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#over.abort(new DOMException("Nobody waits for the end any more", "AbortError"));
  }

  async #await(follow: FollowPort, source: LogSource): Promise<void> {
    try {
      await follow.settled(source, this.#waiting);
      this.#reached = true;
    } catch (error) {
      this.#failure = { error };
    }
    this.#over.abort(new DOMException("The attempt is settled", "AbortError"));
  }
}
