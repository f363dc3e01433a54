/**
 * A program's connection to its container engine, opened on first use.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { Engine } from "@lib/foundations/docker/engine.ts";
import { findEngine, type FindEngineOptions } from "@lib/foundations/docker/find_engine.ts";

/** Finds the engine and keeps the connection to it. */
export class EngineSource implements Disposable {
  readonly #options: () => FindEngineOptions;
  #engine: Engine | undefined;
  #disposed = false;

  /** @param options Called for each search. */
  constructor(options: () => FindEngineOptions) {
    this.#options = options;
  }

  /** @throws {CicdError} `engine_unavailable` if there is no engine. */
  // deno-lint-ignore require-await -- an engine that is missing is a rejection
  async engine(): Promise<Engine> {
    if (this.#disposed) {
      throw new CicdError(
        "engine_unavailable",
        "Cannot use the container engine: it is being shut down",
      );
    }
    return this.#engine ??= new Engine(findEngine(this.#options()));
  }

  /** Closes a connection that does not answer; the next use searches again. */
  forget(): void {
    this.#engine?.[Symbol.dispose]();
    this.#engine = undefined;
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.forget();
  }
}
