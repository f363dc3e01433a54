/**
 * The states of the attempts that an earlier process left under way, as they become known.
 *
 * Until their agents have answered, the database may call a job running that ended long ago. Whoever
 * asks for jobs right after a start waits for these answers, for a moment.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { ignore } from "@lib/core/errors.ts";
import type { JobId } from "@lib/core/ids.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { AttemptRunner } from "@lib/spine/queue/attempt_runner.ts";

/** Time after the start during which answers wait; an agent starts in a fraction of it. */
const PATIENCE_MS = 3_000;
/** An agent that finds an ended attempt first reports it alive; its end follows within this. */
const END_FOLLOWS_MS = 250;

/** Options for {@linkcode Rejoin}. */
export interface RejoinOptions {
  /** The jobs under way at the start. */
  readonly jobs: readonly Pick<Job, "id">[];
  readonly clock: Clock;
}

/** The attempts whose agents have not answered since the start. */
export class Rejoin {
  readonly #clock: Clock;
  readonly #unheard: Set<JobId>;
  readonly #until: number;
  readonly #heardOfAll = Promise.withResolvers<void>();

  constructor({ jobs, clock }: RejoinOptions) {
    this.#clock = clock;
    this.#unheard = new Set(jobs.map(({ id }) => id));
    this.#until = clock.now() + PATIENCE_MS;
  }

  /** Resolves once the state of every job is known, or can no longer be waited for. */
  async known(signal: AbortSignal): Promise<void> {
    // A clock that was set back makes nobody wait longer.
    const leftMs = Math.min(this.#until - this.#clock.now(), PATIENCE_MS);
    if (this.#unheard.size === 0 || leftMs <= 0) return;
    const over = new AbortController();
    const late = this.#clock.sleep(leftMs, { signal: AbortSignal.any([signal, over.signal]) });
    await Promise.race([
      this.#heardOfAll.promise,
      late.catch(ignore("all is known, or nobody asks any more")),
    ]);
    over.abort(new DOMException("All is known", "AbortError"));
  }

  /** Reacts to a committed change of a job. */
  onChange({ id, state }: Pick<Job, "id" | "state">): void {
    if (isTerminal(state) || state === "queued") this.#heardOf(id);
  }

  /** Returns a runner that does the same and listens to the agents' answers. */
  around(runner: AttemptRunner): AttemptRunner {
    return {
      run: (job, options) =>
        runner.run(job, {
          ...options,
          onDoing: (doing) => {
            options.onDoing(doing);
            if (this.#unheard.has(job.id)) void this.#heardAlive(job.id, options.signal);
          },
        }),
      stop: (job, signal) => runner.stop(job, signal),
      fence: (job) => runner.fence(job),
      kill: (job, signal) => runner.kill(job, signal),
    };
  }

  async #heardAlive(id: JobId, signal: AbortSignal): Promise<void> {
    await this.#clock.sleep(END_FOLLOWS_MS, { signal }).catch(ignore("the attempt is over"));
    this.#heardOf(id);
  }

  #heardOf(id: JobId): void {
    if (this.#unheard.delete(id) && this.#unheard.size === 0) this.#heardOfAll.resolve();
  }
}
