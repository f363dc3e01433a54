/**
 * Watches whether the container engine answers, without making clients wait for it.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { messageOf } from "@lib/core/errors.ts";

/** Ports of {@linkcode EngineWatch}. */
export interface EngineWatchOptions {
  /** Pings the engine, in bounded time; returns what is wrong, or `undefined` if it answers. */
  readonly ping: () => Promise<string | undefined>;
  readonly clock: Clock;
}

/** For how long a ping stays valid. */
const VALID_MS = 2_000;

/** Pings the engine on demand and caches the result. */
export class EngineWatch {
  readonly #options: EngineWatchOptions;
  #known: { readonly at: number; readonly problem: string | undefined } | undefined;
  #pinging: Promise<string | undefined> | undefined;

  constructor(options: EngineWatchOptions) {
    this.#options = options;
  }

  /**
   * Returns whether the engine answered the latest ping.
   *
   * Only the first call waits; later ones return the cached result and refresh it in the background.
   */
  async available(): Promise<boolean> {
    const known = this.#known;
    if (known === undefined) return await this.problem() === undefined;
    if (this.#options.clock.now() - known.at >= VALID_MS) void this.problem();
    return known.problem === undefined;
  }

  /** Pings now; concurrent callers share one ping. */
  problem(): Promise<string | undefined> {
    this.#pinging ??= this.#options.ping().catch(messageOf).then((problem) => {
      this.#known = { at: this.#options.clock.now(), problem };
      return problem;
    }).finally(() => this.#pinging = undefined);
    return this.#pinging;
  }
}
