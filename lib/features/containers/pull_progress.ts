/**
 * Says how far a pull is, in few lines.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { PullEvent } from "@lib/foundations/docker/engine_types.ts";

/** Options for {@linkcode PullProgress}. */
export interface PullProgressOptions {
  readonly say: (line: string) => void;
  readonly clock: Pick<Clock, "now">;
}

/** Between two lines. */
const SAY_MS = 1_000;
/** More layers than any image has. */
const LAYERS_MAX = 1_024;

/** Counts the layers of one pull. */
export class PullProgress {
  readonly #say: (line: string) => void;
  readonly #clock: Pick<Clock, "now">;
  /** Whether each layer is here, by id. */
  readonly #layers = new Map<string, boolean>();
  #saidAt: number;
  #said = "";

  constructor({ say, clock }: PullProgressOptions) {
    this.#say = say;
    this.#clock = clock;
    this.#saidAt = clock.now();
  }

  /** Takes an event, and says a line if the count has changed and a second has passed. */
  take({ id, status }: PullEvent): void {
    if (id === undefined || !/^[0-9a-f]{6,64}$/.test(id)) return;
    if (this.#layers.size >= LAYERS_MAX && !this.#layers.has(id)) return;
    this.#layers.set(id, /^(Pull complete|Already exists)/.test(status));
    const now = this.#clock.now();
    if (now - this.#saidAt < SAY_MS) return;
    const line = this.line();
    if (line === this.#said) return;
    this.#say(line);
    this.#said = line;
    this.#saidAt = now;
  }

  /** Such as `Pulled 3 of 7 layers`. */
  line(): string {
    const done = [...this.#layers.values()].filter((here) => here).length;
    return `Pulled ${done} of ${this.#layers.size} layers`;
  }
}
