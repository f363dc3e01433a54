/**
 * Metrics as OpenMetrics text.
 *
 * The runner exits when it is idle, so nothing is counted in memory that must
 * last: what only grows is summed in the database and read when asked for.
 *
 * @module
 */
import { Counter, Gauge, openMetricsContentType, Registry } from "prom-client";

/** A figure with its labels. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric to render. */
export interface Metric {
  /** Without a `_total` ending: the format adds it to counters. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  /** The labels that every sample has. @default {none} */
  readonly labelNames?: readonly string[];
  readonly samples: readonly Sample[];
}

/** Renders metrics. */
export async function renderMetrics(
  metrics: readonly Metric[],
): Promise<{ readonly text: string; readonly contentType: string }> {
  const registry = new Registry<typeof openMetricsContentType>();
  registry.setContentType(openMetricsContentType);
  for (const { name, help, type, labelNames = [], samples } of metrics) {
    const options = { name, help, labelNames: [...labelNames], registers: [registry] };
    if (type === "gauge") {
      const gauge = new Gauge(options);
      for (const { labels = {}, value } of samples) gauge.set(labels, value);
    } else {
      const counter = new Counter(options);
      for (const { labels = {}, value } of samples) counter.inc(labels, value);
    }
  }
  return { text: await registry.metrics(), contentType: registry.contentType };
}
