/**
 * Reads the texts of `/proc` and of cgroup files; touches no file.
 *
 * @module
 */

/** Seconds that all processors together spent since the machine was booted. */
export interface CpuSeconds {
  readonly user: number;
  readonly nice: number;
  readonly system: number;
  readonly idle: number;
  readonly iowait: number;
  readonly irq: number;
  readonly softirq: number;
  readonly steal: number;
}

/** How long work stood still because a resource was busy. */
export interface Pressure {
  /** Percent of the last 10 s in which at least one task waited. */
  readonly some10: number;
  readonly some60: number;
  readonly some300: number;
  readonly someSeconds: number;
  /** Percent of the last 10 s in which all tasks waited; 0 where the kernel does not measure it. */
  readonly full10: number;
  readonly full60: number;
  readonly full300: number;
  readonly fullSeconds: number;
}

/** Counters of a network interface since it was made. */
export interface NetworkCounters {
  readonly name: string;
  readonly receivedBytes: number;
  readonly receiveErrors: number;
  readonly sentBytes: number;
  readonly sendErrors: number;
}

/** The cgroup file systems of the machine, and the place of a process in them. */
export interface CgroupPlaces {
  /** Mount point and path in it, by controller of version 1; `unified`: version 2. */
  readonly hierarchies: ReadonlyMap<string, { readonly mount: string; readonly path: string }>;
}

/** The kernel counts processor time in hundredths of a second, on every platform of ours. */
const TICKS_PER_SECOND = 100;

/** Returns the time of the processors and their number; `undefined` without the line. */
export function parseCpu(stat: string): { seconds: CpuSeconds; count: number } | undefined {
  const words = /^cpu +(.+)$/m.exec(stat)?.[1]?.split(" ").map(Number);
  if (words === undefined) return undefined;
  const at = (index: number) => (words[index] ?? 0) / TICKS_PER_SECOND;
  const seconds = {
    user: at(0),
    nice: at(1),
    system: at(2),
    idle: at(3),
    iowait: at(4),
    irq: at(5),
    softirq: at(6),
    steal: at(7),
  };
  return { seconds, count: stat.match(/^cpu\d+ /gm)?.length ?? 1 };
}

/** Returns a file of pressure stall information; `undefined` without a measured line. */
export function parsePressure(text: string): Pressure | undefined {
  const line = (kind: string) => {
    const found = new RegExp(
      `^${kind} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+) total=(\\d+)$`,
      "m",
    ).exec(text);
    return found?.slice(1).map(Number);
  };
  const some = line("some");
  if (some === undefined) return undefined;
  const full = line("full") ?? [];
  return {
    some10: some[0] ?? 0,
    some60: some[1] ?? 0,
    some300: some[2] ?? 0,
    someSeconds: (some[3] ?? 0) / 1e6,
    full10: full[0] ?? 0,
    full60: full[1] ?? 0,
    full300: full[2] ?? 0,
    fullSeconds: (full[3] ?? 0) / 1e6,
  };
}

/** Returns the counters of `/proc/net/dev`, in the kernel's order. */
export function parseNetwork(text: string): readonly NetworkCounters[] {
  return text.split("\n").flatMap((line) => {
    const colon = line.indexOf(":");
    if (colon < 0) return [];
    const numbers = line.slice(colon + 1).trim().split(/ +/).map(Number);
    return [{
      name: line.slice(0, colon).trim(),
      receivedBytes: numbers[0] ?? 0,
      receiveErrors: numbers[2] ?? 0,
      sentBytes: numbers[8] ?? 0,
      sendErrors: numbers[10] ?? 0,
    }];
  });
}

/** Returns the numbers of a file with a name and a number on each line, such as `memory.events`. */
export function parseKeyed(text: string): Readonly<Record<string, number>> {
  return Object.fromEntries(
    [...text.matchAll(/^([a-z_.]+) (\d+)$/gm)].map(([, name, value]) => [name, Number(value)]),
  );
}

/** Returns the number of a file with one; `undefined` for `max`, and without a number. */
export function parseNumber(text: string): number | undefined {
  return /^\d+\s*$/.test(text) ? Number(text) : undefined;
}

/**
 * Returns where a process is in the cgroup file systems.
 *
 * @param own `/proc/self/cgroup`
 * @param mounts `/proc/self/mountinfo`
 */
export function parseCgroups(own: string, mounts: string): CgroupPlaces {
  const paths = new Map<string, string>();
  for (const [, names = "", path = ""] of own.matchAll(/^\d+:([^:]*):(.*)$/gm)) {
    for (const name of names === "" ? ["unified"] : names.split(",")) paths.set(name, path);
  }
  const hierarchies = new Map<string, { mount: string; path: string }>();
  for (const line of mounts.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const [kind = "", , options = ""] = after.split(" ");
    if (kind !== "cgroup" && kind !== "cgroup2") continue;
    const [root = "/", mount = ""] = before.split(" ").slice(3);
    for (const name of kind === "cgroup2" ? ["unified"] : options.split(",")) {
      const path = paths.get(name);
      if (path === undefined) continue;
      hierarchies.set(name, { mount, path: below(root, path) });
    }
  }
  return { hierarchies };
}

/** A container sees a part of the tree, at which its mount begins. */
function below(root: string, path: string): string {
  if (root === "/" || root === "") return path;
  return path === root || path.startsWith(`${root}/`) ? path.slice(root.length) || "/" : path;
}

/** A process as `/proc/PID/stat` tells of it. */
export interface ProcessStat {
  readonly parent: number;
  readonly cpuSeconds: number;
  readonly residentPages: number;
  /** In ticks since the machine was booted; distinguishes it from a later one of its number. */
  readonly startedAt: string;
}

/** Returns a process; its name may contain anything, so the fields begin after the last bracket. */
export function parseProcess(stat: string): ProcessStat | undefined {
  const end = stat.lastIndexOf(") ");
  if (end < 0) return undefined;
  const fields = stat.slice(end + 2).split(" ");
  const number = (index: number) => Number(fields[index] ?? 0);
  return {
    parent: number(1),
    cpuSeconds: (number(11) + number(12)) / TICKS_PER_SECOND,
    residentPages: number(21),
    startedAt: fields[19] ?? "",
  };
}
