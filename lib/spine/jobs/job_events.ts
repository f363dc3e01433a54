/**
 * Publishes changes to jobs.
 *
 * Listeners have no queue: they learn that a job changed and read the store, so a slow listener
 * costs no memory and misses no final state.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { JobId } from "@lib/core/ids.ts";
import type { Job } from "@lib/spine/jobs/model.ts";

/** Called with a job after a committed change; must not throw or block. */
export type JobListener = (job: Job, before: Job | undefined) => void;

/** Calls listeners after committed changes. */
export class JobEvents {
  readonly #listeners = new Set<JobListener>();

  /** The number of listeners. */
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

  /** Resolves with the job once it `isWanted`; `read` returns its current state. */
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
    return await raceAbort(found.promise, signal);
  }
}
