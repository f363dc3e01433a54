/**
 * The parts behind the Gryt-compatible API, as its routes see them.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { AgentsFront } from "@lib/features/gryt/agents_front.ts";
import type { EngineWatch } from "@lib/features/gryt/engine_watch.ts";
import type { GrytLedger } from "@lib/features/gryt/ledger.ts";
import type { OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import type { GrytSettings } from "@lib/features/gryt/settings.ts";

/** The parts behind the Gryt-compatible API. */
export interface GrytService {
  /** Returns the settings in force; cheap. */
  readonly settings: () => GrytSettings;
  readonly engine: EngineWatch;
  readonly ledger: GrytLedger;
  readonly outbox: OutboxStore;
  readonly front: AgentsFront;
  readonly waiting: WaitingAnswers;
}

/** Counts the answers that clients wait for, so that a stopping runner can leave them time. */
export class WaitingAnswers {
  #count = 0;
  #given = Promise.withResolvers<void>();

  /** Counts one more until it is disposed. */
  begin(): Disposable {
    this.#count++;
    return {
      [Symbol.dispose]: () => {
        this.#count--;
        if (this.#count > 0) return;
        this.#given.resolve();
        this.#given = Promise.withResolvers();
      },
    };
  }

  /** Resolves when no client waits, `false` if none did; rejects with the signal's reason. */
  async given(signal: AbortSignal): Promise<boolean> {
    const isAwaited = this.#count > 0;
    while (this.#count > 0) await raceAbort(this.#given.promise, signal);
    return isAwaited;
  }
}
