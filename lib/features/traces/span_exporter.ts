/**
 * Sends spans to a collector, by OTLP over HTTP with JSON.
 *
 * Telemetry is worth less than work: the outbox is bounded, each try has a deadline, and what cannot
 * be delivered is dropped and counted.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { Logger } from "@lib/core/logger.ts";
import { VERSION } from "@lib/core/version.ts";
import type { Span } from "@lib/features/traces/job_spans.ts";

/** The result of a try; spans are kept after `later`. */
export type Delivery = "delivered" | "refused" | "later";

/** Sends a body to the collector; never throws for what the collector does. */
export type Deliver = (body: string, signal: AbortSignal) => Promise<Delivery>;

/** Options for {@linkcode SpanExporter}. */
export interface SpanExporterOptions {
  readonly deliver: Deliver;
  /** Attributes of the resource, such as `service.name`. */
  readonly resource: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The most spans that wait; further ones are dropped. */
const MAX_WAITING = 4_096;
const MAX_BATCH = 512;
/** After so many tries, a batch is dropped. */
const TRIES = 5;

/** The outbox of spans. */
export class SpanExporter {
  readonly #options: SpanExporterOptions;
  #waiting: Span[] = [];
  #underWay = 0;
  #sent = 0;
  #dropped = 0;
  #isTold = false;

  constructor(options: SpanExporterOptions) {
    this.#options = options;
  }

  /** Spans since the process started, and those that wait. */
  get counts() {
    return { sent: this.#sent, dropped: this.#dropped, waiting: this.#held };
  }

  get #held(): number {
    return this.#waiting.length + this.#underWay;
  }

  /** Queues spans; those that do not fit are dropped. */
  add(spans: readonly Span[]): void {
    const room = Math.max(0, MAX_WAITING - this.#held);
    this.#waiting.push(...spans.slice(0, room));
    this.drop(Math.max(0, spans.length - room));
  }

  /** Counts spans that are lost. */
  drop(count: number): void {
    this.#dropped += count;
  }

  /** Sends all that waits; resolves once it is delivered or dropped. Rejects with the signal's reason. */
  async flush(signal: AbortSignal): Promise<void> {
    while (this.#waiting.length > 0) {
      // Taken out: another flush may run beside this one.
      const batch = this.#waiting.splice(0, MAX_BATCH);
      this.#underWay += batch.length;
      try {
        const isDelivered = await this.#deliver(batch, signal);
        if (isDelivered) this.#sent += batch.length;
        else this.#lose(batch.length);
      } catch (error) {
        this.#waiting.unshift(...batch);
        throw error;
      } finally {
        this.#underWay -= batch.length;
      }
    }
  }

  async #deliver(batch: readonly Span[], signal: AbortSignal): Promise<boolean> {
    const { clock, deliver } = this.#options;
    const backoff = new Backoff({ firstMs: 1_000, maxMs: 16_000 });
    for (let tries = 1;; tries++) {
      const delivery = await deliver(this.#body(batch), signal);
      if (delivery !== "later") return delivery === "delivered";
      if (tries === TRIES) return false;
      await clock.sleep(backoff.next(), { signal });
    }
  }

  #lose(count: number): void {
    this.drop(count);
    if (this.#isTold) return;
    this.#isTold = true;
    this.#options.log.warning(
      "Cannot deliver traces; spans are dropped, and counted in cicd_trace_spans_dropped_total",
      { count },
    );
  }

  #body(spans: readonly Span[]): string {
    const attributes = Object.entries(this.#options.resource)
      .map(([key, stringValue]) => ({ key, value: { stringValue } }));
    const scope = { name: "cicd-toolkit", version: VERSION };
    return JSON.stringify({
      resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope, spans }] }],
    });
  }
}
