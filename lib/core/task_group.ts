/**
 * The only home of background work.
 *
 * @module
 */

/** Options for {@linkcode TaskGroup}. */
export interface TaskGroupOptions {
  /** Called when a task fails for a reason other than the group's own end. */
  readonly onFailure: (name: string, error: unknown) => void;
}

/**
 * Named background tasks that end together.
 *
 * Disposing aborts the group's signal and waits for every task. A task that
 * fails while the group lives is reported; the others go on.
 */
export class TaskGroup implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #running = new Map<Promise<void>, string>();
  readonly #onFailure: TaskGroupOptions["onFailure"];

  constructor(options: TaskGroupOptions) {
    this.#onFailure = options.onFailure;
  }

  /** Aborts when the group is disposed. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Names of the tasks that have not ended. */
  get names(): readonly string[] {
    return [...this.#running.values()];
  }

  /** Starts a task; its failure reaches `onFailure`, never the caller. */
  spawn(name: string, task: (signal: AbortSignal) => Promise<void>): void {
    if (this.#stop.signal.aborted) return;
    const running = this.#run(name, task);
    this.#running.set(running, name);
    void running.finally(() => this.#running.delete(running));
  }

  async #run(name: string, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    try {
      await task(this.#stop.signal);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#onFailure(name, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException("The task group ends", "AbortError"));
    await Promise.all(this.#running.keys());
  }
}
