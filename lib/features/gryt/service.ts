/**
 * The parts behind the Gryt-compatible API, as its routes see them.
 *
 * @module
 */
import type { AgentsFront } from "@lib/features/gryt/agents_front.ts";
import type { EngineWatch } from "@lib/features/gryt/engine_watch.ts";
import type { GrytLedger } from "@lib/features/gryt/ledger.ts";
import type { OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import type { GrytSettings } from "@lib/features/gryt/settings.ts";
import type { WaitingAnswers } from "@lib/features/gryt/waiting_answers.ts";

/** The parts behind the Gryt-compatible API. */
export interface GrytService {
  /** The settings in force; cheap. */
  readonly settings: () => GrytSettings;
  readonly engine: EngineWatch;
  readonly ledger: GrytLedger;
  readonly outbox: OutboxStore;
  readonly front: AgentsFront;
  /** Synchronous answers that are waited for now; the runner leaves them time when it ends. */
  readonly waiting: WaitingAnswers;
}
