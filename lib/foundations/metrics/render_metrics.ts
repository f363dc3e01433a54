/**
 * Metrics as OpenMetrics text.
 *
 * The runner exits when it is idle, so it keeps no lasting count in memory: counters are summed in
 * the database and read on request.
 *
 * @module
 */
import type { openMetricsContentType as ContentType } from "prom-client";

/** A metric to render. */
export interface Metric {
  /** Without `_total`, which the format adds to counters. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  /** The labels of every sample. @default {none} */
  readonly labelNames?: readonly string[];
  readonly samples: readonly {
    readonly labels?: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
}

/** Renders metrics for the content type that it returns. */
export async function renderMetrics(
  metrics: readonly Metric[],
): Promise<{ readonly text: string; readonly contentType: string }> {
  const { Counter, Gauge, openMetricsContentType, Registry } = await import("prom-client");
  const registry = new Registry<typeof ContentType>();
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
