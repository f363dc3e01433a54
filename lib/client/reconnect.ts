/**
 * Going on after the connection broke.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";

/** After this long without any contact a client gives up, in milliseconds. */
export const GIVE_UP_AFTER_MS = 15 * 60_000;

/** Options for {@linkcode Reconnect}. */
export interface ReconnectOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called when contact is lost, once until there is contact again. */
  readonly onLost?: (why: string) => void;
  /** Called when there is contact again. */
  readonly onFound?: () => void;
  /** @default {GIVE_UP_AFTER_MS} */
  readonly giveUpAfterMs?: number;
  readonly backoff?: Backoff;
}

/** Waits longer with each try that fails, and in the end gives up. */
export class Reconnect {
  readonly #options: ReconnectOptions;
  readonly #backoff: Backoff;
  #lostAt: number | undefined;

  constructor(options: ReconnectOptions) {
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff({ firstMs: 50, maxMs: 2_000 });
  }

  /** There was contact. */
  found(): void {
    if (this.#lostAt === undefined) return;
    this.#lostAt = undefined;
    this.#backoff.reset();
    this.#options.onFound?.();
  }

  /**
   * Waits before the next try.
   *
   * @throws `error` itself, if trying again cannot help or has been done long enough.
   */
  async afterFailure(error: unknown): Promise<void> {
    const { clock, signal, onLost, giveUpAfterMs = GIVE_UP_AFTER_MS } = this.#options;
    if (signal.aborted || !isConnectionLoss(error)) throw error;
    const now = clock.now();
    if (this.#lostAt === undefined) {
      this.#lostAt = now;
      onLost?.(messageOf(error));
    } else if (now - this.#lostAt >= giveUpAfterMs) throw error;
    await clock.sleep(this.#backoff.next(), { signal });
  }

  /** Tries `action` until it succeeds. @throws As {@linkcode Reconnect.afterFailure} does. */
  async run<T>(action: () => Promise<T>): Promise<T> {
    while (true) {
      try {
        const result = await action();
        this.found();
        return result;
      } catch (error) {
        await this.afterFailure(error);
      }
    }
  }
}

/** Whether an error says that the runner is away, and not what it answered. */
export function isConnectionLoss(error: unknown): boolean {
  if (!(error instanceof CicdError)) return false;
  return error.code === "io_failed" || error.code === "runner_unavailable" ||
    error.code === "too_many_connections";
}
