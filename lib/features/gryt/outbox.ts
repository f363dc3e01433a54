/**
 * Delivers results at least once, with retries for a day.
 *
 * @module
 */
import { createHmac } from "node:crypto";
import type { Clock } from "@lib/core/clock.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { checkCallback } from "@lib/features/gryt/callback_target.ts";
import type { Delivery, OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import type { OutgoingResult, SendRequest } from "@lib/features/gryt/outgoing.ts";
import type { GrytAnswer } from "@lib/features/gryt/schemas.ts";
import type { GrytSettings } from "@lib/features/gryt/settings.ts";

const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 3_600_000;
/** From the first try on. */
const GIVE_UP_MS = 86_400_000;
/** After a failure of the runner itself, such as a disk error. */
const OWN_FAILURE_WAIT_MS = 60_000;
const DELIVERY_TIMEOUT_MS = 30_000;
/** Most deliveries at once. */
const MAX_AT_ONCE = 4;
/** Longest wait of the loop. */
const MAX_SLEEP_MS = 600_000;

/** Ports of {@linkcode Outbox}. */
export interface OutboxOptions {
  readonly store: OutboxStore;
  readonly settings: () => GrytSettings;
  /** Returns the answer of a job that has ended. */
  readonly answerOf: (delivery: Delivery, signal: AbortSignal) => Promise<GrytAnswer>;
  readonly send: SendRequest;
  /** Loads the check of addresses that requests name. */
  readonly publicAddressCheck: () => Promise<(address: string) => boolean>;
  readonly clock: Clock;
  readonly log: Logger;
  /** @default {Math.random} */
  readonly random?: () => number;
}

/** The delivery of results. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #underWay = new Set<string>();
  #wake = Promise.withResolvers<void>();

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Looks for deliveries now: a job has ended, or one was added. */
  wake(): void {
    this.#wake.resolve();
  }

  /** Delivers until `signal` aborts; an aborted delivery is tried again by the next process. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, store } = this.#options;
    await using tasks = new TaskGroup({
      onFailure: (task, error) => log.error("A delivery met a defect", { task, error }),
    });
    while (!signal.aborted) {
      this.#wake = Promise.withResolvers();
      try {
        for (const delivery of this.#takeDue()) {
          tasks.spawn(
            `delivery of ${delivery.jobId}`,
            (stop) => this.#deliver(delivery, AbortSignal.any([signal, stop])),
          );
        }
        const nextAt = this.#underWay.size >= MAX_AT_ONCE ? undefined : store.nextAt();
        const waitMs = Math.min(MAX_SLEEP_MS, (nextAt ?? Infinity) - clock.now());
        await this.#pause(Math.max(this.#underWay.size > 0 ? FIRST_WAIT_MS : 50, waitMs), signal);
      } catch (error) {
        if (signal.aborted) return;
        log.error("Cannot read the results to deliver; trying again", { error });
        await this.#pause(OWN_FAILURE_WAIT_MS, signal);
      }
    }
  }

  #takeDue(): readonly Delivery[] {
    const room = MAX_AT_ONCE - this.#underWay.size;
    if (room <= 0) return [];
    const { store, clock } = this.#options;
    return store.due(clock.now(), MAX_AT_ONCE + this.#underWay.size)
      .filter((one) => !this.#underWay.has(keyOf(one))).slice(0, room);
  }

  /** Waits until the time has passed, {@linkcode wake} is called, or `signal` aborts. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const done = new AbortController();
    const stop = AbortSignal.any([signal, done.signal]);
    const slept = this.#options.clock.sleep(ms, { signal: stop }).catch((error: unknown) => {
      if (!stop.aborted) throw error;
    });
    await Promise.race([slept, this.#wake.promise]);
    done.abort(new DOMException("The pause is over", "AbortError"));
  }

  async #deliver(delivery: Delivery, signal: AbortSignal): Promise<void> {
    const { store, clock, log } = this.#options;
    const key = keyOf(delivery);
    this.#underWay.add(key);
    try {
      const triedAt = clock.now();
      const outcome = await this.#try(delivery, signal);
      const fields = { jobId: delivery.jobId, kind: delivery.kind, tries: delivery.tries + 1 };
      if (outcome.kind === "delivered") {
        store.remove(delivery);
        log.debug("Result delivered", fields);
        return;
      }
      const lateMs = clock.now() - (delivery.firstAt ?? triedAt);
      const { why } = outcome;
      if (outcome.kind === "hopeless" || lateMs >= GIVE_UP_MS) {
        store.remove(delivery);
        log.error("A result was not delivered and is given up", { ...fields, why });
        return;
      }
      const waitMs = Math.round(this.#waitAfter(delivery.tries));
      store.postpone(delivery, { triedAt, nextAt: clock.now() + waitMs });
      log.warning("A result was not delivered; trying again", { ...fields, why, waitMs });
    } catch (error) {
      if (signal.aborted) return;
      store.postpone(delivery, { triedAt: clock.now(), nextAt: clock.now() + OWN_FAILURE_WAIT_MS });
      throw error;
    } finally {
      this.#underWay.delete(key);
      this.wake();
    }
  }

  #waitAfter(tries: number): number {
    const base = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(tries, 30));
    return base * (1 - (this.#options.random ?? Math.random)() / 4);
  }

  async #try(delivery: Delivery, signal: AbortSignal): Promise<TryOutcome> {
    const { settings, answerOf, send } = this.#options;
    const { apiKey, callbacks } = settings();
    if (apiKey === undefined) return { kind: "failed", why: "AGENT_API_KEY is not set" };
    const target = delivery.kind === "callback"
      ? checkCallback(delivery.url, callbacks)
      : { kind: "allowed", url: new URL(delivery.url), trusted: true } as const;
    if (target.kind === "refused") return { kind: "hopeless", why: `its address ${target.why}` };
    const body = new TextEncoder().encode(JSON.stringify(await answerOf(delivery, signal)));
    const result = await send({
      url: target.url,
      method: "POST",
      headers: {
        "content-type": "application/json",
        "idempotency-key": `${delivery.jobId}`,
        "x-gryt-job-id": String(delivery.grytId),
        "x-signature-256": signatureOf(body, apiKey.expose()),
        // Only the main API gets the key itself, never an address from a request.
        ...(delivery.kind === "result" ? { "x-api-key": apiKey.expose() } : {}),
      },
      body,
      timeoutMs: DELIVERY_TIMEOUT_MS,
      maxAnswerBytes: 0,
      signal,
      ...(target.trusted ? {} : { isAllowed: await this.#options.publicAddressCheck() }),
    });
    return checkDelivery(result);
  }
}

type TryOutcome =
  | { readonly kind: "delivered" }
  | { readonly kind: "failed" | "hopeless"; readonly why: string };

/** Only 2xx is a delivery; only "gone" rules out another try. */
function checkDelivery(result: OutgoingResult): TryOutcome {
  switch (result.kind) {
    case "answered":
      if (result.status >= 200 && result.status < 300) return { kind: "delivered" };
      return {
        kind: result.status === 410 ? "hopeless" : "failed",
        why: `the answer was ${result.status}`,
      };
    case "forbidden":
      return { kind: "hopeless", why: result.why };
    case "unreachable":
    case "broken":
      return { kind: "failed", why: result.why };
  }
}

/** Returns the value of `X-Signature-256`. */
function signatureOf(body: Uint8Array, apiKey: string): string {
  return `sha256=${createHmac("sha256", apiKey).update(body).digest("hex")}`;
}

function keyOf({ jobId, url }: Delivery): string {
  return `${jobId} ${url}`;
}
