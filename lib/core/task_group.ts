/**
 * Named background tasks that end together: all background work is in such a group.
 *
 * Disposing aborts the group's signal and waits for every task. A task that fails before is
 * reported; the others go on.
 */
export class TaskGroup implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #running = new Map<Promise<void>, string>();
  readonly #onFailure: (name: string, error: unknown) => void;

  /** @param options.onFailure Called when a task fails for a reason other than the group's end. */
  constructor(options: { readonly onFailure: (name: string, error: unknown) => void }) {
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

  /** Resolves when the tasks of this moment have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#running.keys());
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
