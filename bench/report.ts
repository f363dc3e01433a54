/**
 * Results of benchmarks and their summaries.
 *
 * @module
 */

/** Measurements of one contender; the unit is that of its comparison. */
export interface Series {
  readonly name: string;
  readonly samples: readonly number[];
}

/** The product and its peers, measured in the same run. */
export interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly better: "lower" | "higher";
  readonly ours: Series;
  /** The first one is the peer of the headline; none if there is nothing to compare with. */
  readonly peers: readonly Series[];
  /** The target for the median of `ours`. */
  readonly target?: number;
  readonly notes: readonly string[];
}

/** The figures of a series. */
export interface Summary {
  readonly n: number;
  readonly median: number;
  readonly p95: number;
  readonly min: number;
  readonly max: number;
}

/** Summarizes measurements. @throws {RangeError} If there are none. */
export function summarize(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((a, b) => a - b);
  const [min] = sorted;
  const max = sorted.at(-1);
  if (min === undefined || max === undefined) {
    throw new RangeError("Cannot summarize 0 measurements");
  }
  return { n: sorted.length, median: quantile(sorted, 0.5), p95: quantile(sorted, 0.95), min, max };
}

/**
 * Returns how many times better `ours` is than `peer`, by medians; below 1 the peer is better.
 *
 * @returns `undefined` where a ratio is meaningless, such as for a count of 0.
 */
export function ratioOf(comparison: Comparison, peer: Series): number | undefined {
  const ours = summarize(comparison.ours.samples).median;
  const theirs = summarize(peer.samples).median;
  const ratio = comparison.better === "lower" ? theirs / ours : ours / theirs;
  return ours > 0 && theirs > 0 ? ratio : undefined;
}

/** Checks that the target was reached; `undefined` if there is none. */
export function reachesTarget({ better, ours, target }: Comparison): boolean | undefined {
  if (target === undefined) return undefined;
  const { median } = summarize(ours.samples);
  return better === "lower" ? median <= target : median >= target;
}

/** The value at `share` of a sorted list that is not empty, interpolated. */
function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)] ?? NaN;
  const high = sorted[Math.ceil(at)] ?? NaN;
  return low + (high - low) * (at - Math.floor(at));
}
