/**
 * Whether the container engine answers, without making anybody wait for it.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";

/** Options for {@linkcode EngineWatch}. */
export interface EngineWatchOptions {
  /**
   * Asks the engine for a sign of life; bounded in time.
   *
   * @returns What is wrong, in one sentence; `undefined` if it answers.
   */
  readonly ping: () => Promise<string | undefined>;
  readonly clock: Clock;
}

/** How long a look holds good. */
const LOOK_MS = 2_000;

/** Looks at the engine now and then, when somebody asks. */
export class EngineWatch {
  readonly #options: EngineWatchOptions;
  #known: { readonly at: number; readonly problem: string | undefined } | undefined;
  #look: Promise<string | undefined> | undefined;

  constructor(options: EngineWatchOptions) {
    this.#options = options;
  }

  /**
   * Whether the engine answered when it was last looked at.
   *
   * Only the first caller of all waits, as nothing is known before; after that an old answer is
   * given at once and a new look is taken behind it.
   */
  async available(): Promise<boolean> {
    const known = this.#known;
    if (known === undefined) return await this.problem() === undefined;
    if (this.#options.clock.now() - known.at >= LOOK_MS) void this.problem();
    return known.problem === undefined;
  }

  /** Looks now; several callers share one look. */
  problem(): Promise<string | undefined> {
    this.#look ??= this.#ask().finally(() => this.#look = undefined);
    return this.#look;
  }

  async #ask(): Promise<string | undefined> {
    let problem: string | undefined;
    try {
      problem = await this.#options.ping();
    } catch (error) {
      problem = error instanceof Error ? error.message : "The container engine cannot be asked";
    }
    this.#known = { at: this.#options.clock.now(), problem };
    return problem;
  }
}
