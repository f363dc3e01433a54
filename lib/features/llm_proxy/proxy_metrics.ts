/**
 * The metrics of the proxy; their labels have few values.
 *
 * @module
 */
import type { Metric, Sample } from "@lib/foundations/metrics/metric.ts";
import type { Uncounted } from "@lib/features/llm_proxy/answer_tap.ts";
import type { Exchanged } from "@lib/features/llm_proxy/exchange.ts";
import type { Tokens } from "@lib/features/llm_proxy/token_count.ts";

const KINDS = {
  input: "input",
  output: "output",
  cacheRead: "cache_read",
  cacheWrite: "cache_write",
} as const satisfies Record<keyof Tokens, string>;

/** Counts since the start of the runner. */
export class ProxyMetrics {
  readonly #requests = new Sums(["provider", "outcome"]);
  readonly #refused = new Sums(["reason"]);
  readonly #tokens = new Sums(["provider", "kind"]);
  readonly #cost = new Sums(["provider"]);
  readonly #uncounted = new Sums(["provider", "reason"]);

  /** A request has ended. */
  exchanged(provider: string, outcome: Exchanged): void {
    const shown = outcome.kind === "failed"
      ? outcome.reason
      : outcome.kind === "answered"
      ? `${Math.floor(outcome.status / 100)}xx`
      : outcome.kind;
    this.#requests.add([provider, shown], 1);
  }

  /** A request was refused here. */
  refused(reason: string): void {
    this.#refused.add([reason], 1);
  }

  /** The tokens of an answer are not, or only in part, known. */
  uncounted(provider: string, reason: Uncounted): void {
    this.#uncounted.add([provider, reason], 1);
  }

  /** An answer was counted. */
  used(provider: string, tokens: Tokens, costUsd: number): void {
    this.#tokens.add([provider, KINDS.input], tokens.input);
    this.#tokens.add([provider, KINDS.output], tokens.output);
    this.#tokens.add([provider, KINDS.cacheRead], tokens.cacheRead);
    this.#tokens.add([provider, KINDS.cacheWrite], tokens.cacheWrite);
    this.#cost.add([provider], costUsd);
  }

  /** @param active Requests under way. */
  read(active: number): readonly Metric[] {
    return [
      this.#requests.metric("requests", "Requests to language models, by how they ended"),
      this.#refused.metric("refused", "Requests that the proxy for language models refused"),
      this.#tokens.metric("tokens", "Tokens of language models, by how they are charged"),
      this.#cost.metric(
        "cost_usd",
        "Cost of language models in US dollars, where a price is known",
      ),
      this.#uncounted.metric("uncounted", "Answers of language models that could not be counted"),
      {
        name: "cicd_llm_active_requests",
        help: "Requests to language models under way",
        type: "gauge",
        samples: [{ value: active }],
      },
    ];
  }
}

/** Sums by labels. */
class Sums {
  readonly #labelNames: readonly string[];
  readonly #samples = new Map<string, Sample>();

  constructor(labelNames: readonly string[]) {
    this.#labelNames = labelNames;
  }

  add(values: readonly string[], amount: number): void {
    const key = values.join(" ");
    const labels = Object.fromEntries(
      this.#labelNames.map((name, index) => [name, values[index] ?? ""]),
    );
    const before = this.#samples.get(key)?.value ?? 0;
    this.#samples.set(key, { labels, value: before + amount });
  }

  metric(name: string, help: string): Metric {
    return {
      name: `cicd_llm_${name}`,
      help,
      type: "counter",
      labelNames: this.#labelNames,
      samples: [...this.#samples.values()],
    };
  }
}
