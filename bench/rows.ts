/**
 * The names of the benchmarks, in the order in which they run.
 *
 * @module
 */

/** Benchmarks in a booted machine; `docs/benchmarks.md` describes each. */
export const MACHINE_ROW_NAMES = [
  "start",
  "follow",
  "throughput",
  "terminals",
  "cold",
  "memory",
  "console",
  "rate",
  "cpu",
  "survivors",
  "recovery",
] as const;

/** Benchmarks on the host with a container engine. */
export const ENGINE_ROW_NAMES = ["container", "container_log", "checkout", "health"] as const;

/** Benchmarks on the host, with nothing but the built product. */
export const HOST_ROW_NAMES = ["direct", "pick", "host", "loop"] as const;

/** The benchmark on the host that traces the product in a booted machine. */
export const TIMELINE_ROW_NAME = "timeline";

/** All benchmarks. */
export const ROW_NAMES = [
  ...MACHINE_ROW_NAMES,
  TIMELINE_ROW_NAME,
  ...ENGINE_ROW_NAMES,
  ...HOST_ROW_NAMES,
] as const;

/** Benchmarks that cannot be run with another build, and why. */
export const ONLY_NOW: Readonly<Partial<Record<RowName, string>>> = {
  timeline: "its points are looked for in this build only",
  pick: "it measures the checkout's own code",
  host: "it measures the checkout's own code",
  loop: "its requests are those of this build's description",
};

/** One of {@linkcode MACHINE_ROW_NAMES}. */
export type MachineRowName = typeof MACHINE_ROW_NAMES[number];
/** One of {@linkcode ENGINE_ROW_NAMES}. */
export type EngineRowName = typeof ENGINE_ROW_NAMES[number];
/** One of {@linkcode HOST_ROW_NAMES}. */
export type HostRowName = typeof HOST_ROW_NAMES[number];
/** One of {@linkcode ROW_NAMES}. */
export type RowName = typeof ROW_NAMES[number];

/** Checks that a word names a benchmark. */
export function isRowName(name: string): name is RowName {
  return ROW_NAMES.some((known) => known === name);
}

/** Checks that a word names a benchmark in a booted machine. */
export function isMachineRow(name: string): name is MachineRowName {
  return MACHINE_ROW_NAMES.some((known) => known === name);
}

/** Checks that a word names a benchmark with a container engine. */
export function isEngineRow(name: string): name is EngineRowName {
  return ENGINE_ROW_NAMES.some((known) => known === name);
}

/** Checks that a word names a benchmark that needs only the build. */
export function isHostRow(name: string): name is HostRowName {
  return HOST_ROW_NAMES.some((known) => known === name);
}
