/**
 * The policy of reconnecting to the runner.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { messageOf } from "@lib/core/errors.ts";
import { ConnectionLostError } from "@lib/api/client/transport.ts";

/** Time without contact after which a client gives up, in milliseconds. */
const GIVE_UP_AFTER_MS = 15 * 60_000;

/** Options for {@linkcode Reconnect}. */
export interface ReconnectOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called once each time contact is lost. */
  readonly onLost?: (why: string) => void;
  /** Called when contact is restored. */
  readonly onFound?: () => void;
  /** @default {GIVE_UP_AFTER_MS} */
  readonly giveUpAfterMs?: number;
  readonly backoff?: Backoff;
}

/** Waits longer with each failed attempt, and finally gives up. */
export class Reconnect {
  readonly #options: ReconnectOptions;
  readonly #backoff: Backoff;
  #lostAt: number | undefined;

  constructor(options: ReconnectOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff({ firstMs: 50, maxMs: 2_000 });
  }

  /** Notes contact; the next failure still waits as long as the last one. */
  found(): void {
    if (this.#lostAt === undefined) return;
    this.#lostAt = undefined;
    this.#options.onFound?.();
  }

  /** Notes progress; the next failure waits as briefly as the first. */
  progressed(): void {
    this.found();
    this.#backoff.reset();
  }

  /**
   * Waits before the next attempt.
   *
   * @throws `error` itself, if another attempt cannot help or the time is up.
   */
  async afterFailure(error: unknown): Promise<void> {
    const { clock, signal, onLost, giveUpAfterMs = GIVE_UP_AFTER_MS } = this.#options;
    if (signal.aborted || !(error instanceof ConnectionLostError)) throw error;
    const now = clock.now();
    if (this.#lostAt === undefined) {
      this.#lostAt = now;
      onLost?.(messageOf(error));
    } else if (now - this.#lostAt >= giveUpAfterMs) throw error;
    await clock.sleep(this.#backoff.next(), { signal });
  }

  /** Repeats `action` until it succeeds. @throws As {@linkcode Reconnect.afterFailure} does. */
  async run<T>(action: () => Promise<T>): Promise<T> {
    while (true) {
      try {
        const result = await action();
        this.progressed();
        return result;
      } catch (error) {
        await this.afterFailure(error);
      }
    }
  }
}
