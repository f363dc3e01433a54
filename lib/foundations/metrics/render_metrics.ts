/**
 * Metrics as text for Prometheus: OpenMetrics, or the older text format.
 *
 * The runner exits when it is idle, so it keeps no lasting count in memory: counters are summed in
 * the database and read on request.
 *
 * @module
 */
import type { Metric, Sample } from "@lib/foundations/metrics/metric.ts";
import type { openMetricsContentType as ContentType } from "prom-client";

/** Renders metrics for the content type that it returns. */
export async function renderMetrics(
  metrics: readonly Metric[],
  { isPlain = false }: { readonly isPlain?: boolean } = {},
): Promise<{ readonly text: string; readonly contentType: string }> {
  const { Counter, Gauge, Histogram, openMetricsContentType, Registry } = await import(
    "prom-client"
  );
  const open = new Registry<typeof ContentType>();
  open.setContentType(openMetricsContentType);
  const registry = isPlain ? new Registry() : open;
  const registers = [registry];
  for (const { name, help, type, labelNames = [], samples } of metrics) {
    const options = { name, help, labelNames: [...labelNames], registers };
    switch (type) {
      case "gauge": {
        const gauge = new Gauge(options);
        for (const { labels = {}, value } of samples) gauge.set(labels, value);
        break;
      }
      case "counter": {
        // Of the two formats, only OpenMetrics has the suffix apart from the name.
        const counter = new Counter({ ...options, name: isPlain ? `${name}_total` : name });
        for (const { labels = {}, value } of samples) counter.inc(labels, value);
        break;
      }
      case "histogram": {
        const values = samples.flatMap((sample) => histogramValues(name, sample));
        // It would count anew; the counts are those of the database.
        Object.assign(new Histogram(options), {
          getForPromString: () => Promise.resolve({ name, help, type, values }),
        });
        break;
      }
    }
  }
  return { text: await registry.metrics(), contentType: registry.contentType };
}

function histogramValues(name: string, { labels = {}, value, buckets = [] }: Sample) {
  const total = buckets.at(-1)?.count ?? 0;
  return [
    ...buckets.map(({ le, count }) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le: le === Infinity ? "+Inf" : String(le) },
      value: count,
    })),
    { metricName: `${name}_sum`, labels, value },
    { metricName: `${name}_count`, labels, value: total },
  ];
}
