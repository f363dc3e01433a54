/**
 * The names of the benchmarks, in the order in which they run.
 *
 * @module
 */

/** Those in a booted machine; see `docs/benchmarks.md` for what each one measures. */
export const MACHINE_ROW_NAMES = [
  "start",
  "follow",
  "throughput",
  "cold",
  "memory",
  "rate",
  "survivors",
  "recovery",
] as const;

/** Those beside a container engine. */
export const ENGINE_ROW_NAMES = ["container", "container_log", "checkout", "health"] as const;

/** All of them. */
export const ROW_NAMES = [...MACHINE_ROW_NAMES, ...ENGINE_ROW_NAMES] as const;

/** One of {@linkcode MACHINE_ROW_NAMES}. */
export type MachineRowName = typeof MACHINE_ROW_NAMES[number];
/** One of {@linkcode ENGINE_ROW_NAMES}. */
export type EngineRowName = typeof ENGINE_ROW_NAMES[number];
/** One of {@linkcode ROW_NAMES}. */
export type RowName = typeof ROW_NAMES[number];

/** Whether a word names a benchmark. */
export function isRowName(name: string): name is RowName {
  return ROW_NAMES.some((known) => known === name);
}

/** Whether a word names a benchmark in a booted machine. */
export function isMachineRow(name: string): name is MachineRowName {
  return MACHINE_ROW_NAMES.some((known) => known === name);
}

/** Whether a word names a benchmark beside a container engine. */
export function isEngineRow(name: string): name is EngineRowName {
  return ENGINE_ROW_NAMES.some((known) => known === name);
}
