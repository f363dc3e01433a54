/**
 * One look at the machine, from what the kernel keeps anyway: no program is started, and nothing is
 * measured while nobody asks.
 *
 * @module
 */
import type { FileSystem, MachineFiles } from "@lib/foundations/host/machine_files.ts";
import {
  type CpuSeconds,
  type NetworkCounters,
  parseCpu,
  parseNetwork,
  parsePressure,
  type Pressure,
} from "@lib/foundations/host/proc_text.ts";

/** The machine at one moment; `undefined`: the kernel does not say. */
export interface HostSample {
  readonly uptimeSeconds: number;
  readonly load: readonly number[];
  readonly cpu: { readonly seconds: CpuSeconds; readonly count: number } | undefined;
  readonly memory: Deno.SystemMemoryInfo;
  readonly disks: readonly DiskSample[];
  readonly pressure: Readonly<Record<Resource, Pressure | undefined>>;
  readonly network: readonly NetworkCounters[];
}

/** A file system that the runner needs. */
export interface DiskSample extends FileSystem {
  readonly use: DiskUse;
  readonly path: string;
}

/** The uses that the runner has for a directory. */
export const DISK_USES = ["state", "runtime", "temporary"] as const;

/** One of {@linkcode DISK_USES}. */
export type DiskUse = typeof DISK_USES[number];

/** The resources whose pressure the kernel measures. */
export const RESOURCES = ["cpu", "memory", "io"] as const;

/** One of {@linkcode RESOURCES}. */
export type Resource = typeof RESOURCES[number];

/** The most network interfaces that are told apart. */
const MAX_INTERFACES = 16;

/** Interfaces that come and go with containers, and the machine's own. */
const PASSING_INTERFACE = /^(?:lo$|veth|br-|docker|virbr|cni|cali|flannel|podman|tap|ifb|dummy)/;

/** Looks at the machine. @param directories Those whose disks matter, by their use. */
export function sampleHost(
  files: MachineFiles,
  directories: Readonly<Record<DiskUse, string>>,
): HostSample {
  const network = parseNetwork(files.read("/proc/net/dev"))
    .filter(({ name }) => !PASSING_INTERFACE.test(name));
  const pressure = (resource: Resource) => parsePressure(files.read(`/proc/pressure/${resource}`));
  return {
    uptimeSeconds: files.uptimeSeconds(),
    load: files.load(),
    cpu: parseCpu(files.read("/proc/stat")),
    memory: files.memory(),
    disks: DISK_USES.flatMap((use) => {
      const path = directories[use];
      const space = files.space(path);
      return space === undefined ? [] : [{ use, path, ...space }];
    }),
    pressure: { cpu: pressure("cpu"), memory: pressure("memory"), io: pressure("io") },
    network: bounded(network),
  };
}

/** Sums up the interfaces over {@linkcode MAX_INTERFACES} as `other`. */
function bounded(all: readonly NetworkCounters[]): readonly NetworkCounters[] {
  if (all.length <= MAX_INTERFACES) return all;
  const other = all.slice(MAX_INTERFACES - 1).reduce((sum, each) => ({
    name: "other",
    receivedBytes: sum.receivedBytes + each.receivedBytes,
    receiveErrors: sum.receiveErrors + each.receiveErrors,
    sentBytes: sum.sentBytes + each.sentBytes,
    sendErrors: sum.sendErrors + each.sendErrors,
  }));
  return [...all.slice(0, MAX_INTERFACES - 1), { ...other, name: "other" }];
}
