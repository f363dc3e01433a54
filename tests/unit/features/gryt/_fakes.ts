/**
 * Another machine that answers as the test says, and a record of Gryt jobs.
 *
 * @module
 */
import type { JobId } from "@lib/core/ids.ts";
import { GrytLedger } from "@lib/features/gryt/ledger.ts";
import { OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import type { OutgoingRequest, OutgoingResult, SendRequest } from "@lib/features/gryt/outgoing.ts";
import { GRYT_DEFAULT_IMAGE, type GrytSettings } from "@lib/features/gryt/settings.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";
import {
  makeJob,
  makeOutcome,
  type MemoryStore,
  openMemoryStore,
  projectName,
} from "../../../support/job_fixtures.ts";

/** Settings with a key. */
export function makeSettings(changes: Partial<GrytSettings> = {}): GrytSettings {
  return {
    project: projectName("gryt"),
    apiKey: new Secret("the-key"),
    image: GRYT_DEFAULT_IMAGE,
    timeoutMs: 60_000,
    maxOutputBytes: 1_000,
    callbacks: [],
    agentUrls: [],
    problems: [],
    ...changes,
  };
}

/** Requests that were sent, as text. */
export interface FakeNetwork {
  readonly sent: OutgoingRequest[];
  readonly send: SendRequest;
}

/** Answers each request by what `answer` says. */
export function fakeNetwork(
  answer: (request: OutgoingRequest, count: number) => OutgoingResult | Promise<OutgoingResult>,
): FakeNetwork {
  const sent: OutgoingRequest[] = [];
  return {
    sent,
    send: async (request) => {
      sent.push(request);
      request.signal.throwIfAborted();
      return await answer(request, sent.length);
    },
  };
}

/** An answer. */
export function answered(status: number, body: unknown = ""): OutgoingResult {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { kind: "answered", status, headers: {}, body: new TextEncoder().encode(text) };
}

/** The text of a request's body. */
export function bodyOf({ body }: OutgoingRequest): string {
  return new TextDecoder().decode(body);
}

/** A record with its jobs. */
export interface LedgerBench extends MemoryStore {
  readonly ledger: GrytLedger;
  readonly outbox: OutboxStore;
  /** Stores a queued Gryt job. */
  addGryt(grytId: number, options?: {
    readonly leaseMs?: number;
    readonly owed?: { readonly url: string; readonly kind: "callback" | "result" };
  }): JobId;
  /** Ends a job. */
  end(id: JobId): void;
}

/** Opens a record in memory. */
export function openLedger(): LedgerBench {
  const memory = openMemoryStore();
  const ledger = new GrytLedger(memory.db);
  const outbox = new OutboxStore(memory.db);
  return {
    ...memory,
    ledger,
    outbox,
    addGryt(grytId, { leaseMs, owed } = {}) {
      const job = makeJob();
      memory.store.insert({
        job,
        also() {
          ledger.record({
            jobId: job.id,
            grytId,
            ...(leaseMs === undefined ? {} : { leaseMs }),
          });
          if (owed !== undefined) outbox.add({ jobId: job.id, ...owed });
        },
      });
      return job.id;
    },
    end(id) {
      memory.claim(id);
      memory.store.apply(id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
    },
  };
}
