/**
 * Metrics as values.
 *
 * @module
 */

/** A metric to render. */
export interface Metric {
  /** Without `_total`, which the format adds to counters. */
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** The labels of every sample. @default {none} */
  readonly labelNames?: readonly string[];
  readonly samples: readonly Sample[];
}

/** A value of a metric. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  /** Of a histogram: the sum of the observed values. */
  readonly value: number;
  /** Of a histogram: ascending and cumulative; the last bound is `Infinity`. */
  readonly buckets?: readonly { readonly le: number; readonly count: number }[];
}

/** Options for {@linkcode boundLabel}. */
export interface LabelBound {
  readonly label: string;
  /** Values that keep their own series, most important first. */
  readonly first: readonly string[];
  /** The most values that keep their own series. */
  readonly max: number;
  /** The value of all others together; it can be none of them. */
  readonly other: string;
}

/**
 * Bounds the values of a label: those beyond are summed up under one value, so that no sum over all
 * changes.
 */
export function boundLabel(
  metrics: readonly Metric[],
  { label, first, max, other }: LabelBound,
): readonly Metric[] {
  const seen = new Set(metrics.flatMap(({ samples }) =>
    samples.flatMap(({ labels }) => {
      const value = labels?.[label];
      return value === undefined ? [] : [value];
    })
  ));
  if (seen.size <= max) return metrics;
  const ahead = first.filter((value) => seen.has(value));
  const kept = new Set([...new Set([...ahead, ...[...seen].sort()])].slice(0, max));
  return metrics.map((metric) => {
    if (metric.labelNames?.includes(label) !== true) return metric;
    const own = metric.samples.filter(({ labels }) => kept.has(labels?.[label] ?? ""));
    const folded = new Map<string, Sample>();
    for (const sample of metric.samples) {
      if (kept.has(sample.labels?.[label] ?? "")) continue;
      const labels = { ...sample.labels, [label]: other };
      const key = JSON.stringify(labels);
      folded.set(key, sum({ ...sample, labels }, folded.get(key)));
    }
    return { ...metric, samples: [...own, ...folded.values()] };
  });
}

function sum(one: Sample, another: Sample | undefined): Sample {
  if (another === undefined) return one;
  const { buckets } = one;
  return {
    ...one,
    value: one.value + another.value,
    ...(buckets === undefined ? {} : {
      buckets: buckets.map(({ le, count }, index) => ({
        le,
        count: count + (another.buckets?.[index]?.count ?? 0),
      })),
    }),
  };
}
