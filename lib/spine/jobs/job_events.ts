/**
 * Who wants to know of changes to jobs.
 *
 * Listeners get no queue of their own: they are told that a job changed and
 * read the store, so a slow one costs no memory and misses no final state.
 *
 * @module
 */
import type { JobId } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";

/** Called with a job as it stands after a committed change; must not throw or block. */
export type JobListener = (job: Job, before: Job | undefined) => void;

/** Tells listeners of committed changes. */
export class JobEvents {
  readonly #listeners = new Set<JobListener>();

  /** How many listen now. */
  get size(): number {
    return this.#listeners.size;
  }

  listen(listener: JobListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  publish(job: Job, before: Job | undefined): void {
    for (const listener of this.#listeners) listener(job, before);
  }

  /**
   * Resolves with the first state of the job, now or later, that `isWanted`.
   *
   * @param read Reads the job as it stands now.
   */
  async waitFor(
    id: JobId,
    { read, isWanted, signal }: {
      readonly read: () => Job;
      readonly isWanted: (job: Job) => boolean;
      readonly signal: AbortSignal;
    },
  ): Promise<Job> {
    const found = Promise.withResolvers<Job>();
    using _listening = this.listen((job) => {
      if (job.id === id && isWanted(job)) found.resolve(job);
    });
    const now = read();
    if (isWanted(now)) return now;
    const onAbort = () => found.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await found.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}
