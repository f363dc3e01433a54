/**
 * Progress of a pull, in few lines.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { PullEvent } from "@lib/foundations/docker/engine_types.ts";

/** Shortest time between two lines. */
const SAY_MS = 1_000;
/** More layers than any image has. */
const LAYERS_MAX = 1_024;

/** Counts the layers of one pull. */
export class PullProgress {
  readonly #say: (line: string) => void;
  readonly #clock: Pick<Clock, "now">;
  /** Set for each layer, by id, that is complete. */
  readonly #layers = new Map<string, boolean>();
  #saidAt: number;
  #said = "";

  constructor(say: (line: string) => void, clock: Pick<Clock, "now">) {
    this.#say = say;
    this.#clock = clock;
    this.#saidAt = clock.now();
  }

  /** Takes an event; reports at most once a second, and only if the count has changed. */
  take({ id, status }: PullEvent): void {
    if (id === undefined || !/^[0-9a-f]{6,64}$/.test(id)) return;
    if (this.#layers.size >= LAYERS_MAX && !this.#layers.has(id)) return;
    this.#layers.set(id, /^(Pull complete|Already exists)/.test(status));
    const now = this.#clock.now();
    if (now - this.#saidAt < SAY_MS) return;
    const done = [...this.#layers.values()].filter((complete) => complete).length;
    const line = `Pulled ${done} of ${this.#layers.size} layers`;
    if (line === this.#said) return;
    this.#say(line);
    this.#said = line;
    this.#saidAt = now;
  }
}
