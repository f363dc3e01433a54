/**
 * The one connection of a program to its container engine, made on first use.
 *
 * @module
 */
import { CicdError, ignore } from "@lib/core/errors.ts";
import { Engine } from "@lib/foundations/docker/engine.ts";
import { findEngine, type FindEngineOptions } from "@lib/foundations/docker/find_engine.ts";

/** Where {@linkcode EngineSource} looks; read anew whenever it looks. */
export type EnginePlaces = () => FindEngineOptions;

/** Finds the engine and keeps the connection to it. */
export class EngineSource implements Disposable {
  readonly #places: EnginePlaces;
  #engine: Promise<Engine> | undefined;
  #disposed = false;

  constructor(places: EnginePlaces) {
    this.#places = places;
  }

  /**
   * The engine.
   *
   * @throws {CicdError} `engine_unavailable` if there is none.
   */
  async engine(): Promise<Engine> {
    if (this.#disposed) {
      throw new CicdError("engine_unavailable", "Cannot use the container engine: we are stopping");
    }
    this.#engine ??= Engine.open(findEngine(this.#places()));
    const opened = this.#engine;
    try {
      return await opened;
    } catch (error) {
      if (this.#engine === opened) this.#engine = undefined;
      throw error;
    }
  }

  /** Looks for the engine anew on the next use: what was found does not answer. */
  forget(): void {
    const forgotten = this.#engine;
    this.#engine = undefined;
    void forgotten?.then(
      (engine) => engine[Symbol.dispose](),
      ignore("whoever asked for the engine was told"),
    );
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.forget();
  }
}
