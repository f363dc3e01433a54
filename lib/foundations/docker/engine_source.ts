/**
 * A program's connection to its container engine, opened on first use.
 *
 * @module
 */
import { CicdError, ignore } from "@lib/core/errors.ts";
import { Engine } from "@lib/foundations/docker/engine.ts";
import { findEngine, type FindEngineOptions } from "@lib/foundations/docker/find_engine.ts";

/** Finds the engine and keeps the connection to it. */
export class EngineSource implements Disposable {
  readonly #options: () => FindEngineOptions;
  #engine: Promise<Engine> | undefined;
  #disposed = false;

  /** @param options Called for each search. */
  constructor(options: () => FindEngineOptions) {
    this.#options = options;
  }

  /** @throws {CicdError} `engine_unavailable` if there is no engine. */
  async engine(): Promise<Engine> {
    if (this.#disposed) {
      throw new CicdError(
        "engine_unavailable",
        "Cannot use the container engine: it is being shut down",
      );
    }
    this.#engine ??= Engine.open(findEngine(this.#options()));
    const opened = this.#engine;
    try {
      return await opened;
    } catch (error) {
      if (this.#engine === opened) this.#engine = undefined;
      throw error;
    }
  }

  /** Closes a connection that does not answer; the next use searches again. */
  forget(): void {
    const forgotten = this.#engine;
    this.#engine = undefined;
    void forgotten?.then(
      (engine) => engine[Symbol.dispose](),
      ignore("its callers got the error"),
    );
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.forget();
  }
}
