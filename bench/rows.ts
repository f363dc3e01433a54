/**
 * The names of the benchmarks, in the order in which they run.
 *
 * @module
 */

/** See `docs/benchmarks.md` for what each one measures. */
export const ROW_NAMES = [
  "start",
  "follow",
  "throughput",
  "cold",
  "memory",
  "rate",
  "survivors",
  "recovery",
] as const;

/** One of {@linkcode ROW_NAMES}. */
export type RowName = typeof ROW_NAMES[number];

/** Whether a word names a benchmark. */
export function isRowName(name: string): name is RowName {
  return ROW_NAMES.some((known) => known === name);
}
