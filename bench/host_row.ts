/**
 * Measures a sample of the machine, and counts the processes that it starts.
 *
 * @module
 */
import process from "node:process";
// @ts-types="../lib/foundations/host/systeminformation.d.ts"
import type Library from "systeminformation";
import { sampleHost } from "@lib/foundations/host/host_sample.ts";
import { machineFiles } from "@lib/foundations/host/machine_files.ts";
import { reapedFaults } from "../tests/support/processes.ts";
import type { Comparison } from "./report.ts";

/** Options for {@linkcode measureHost}. */
export interface HostOptions {
  readonly scratch: string;
  readonly quick: boolean;
  readonly say: (text: string) => void;
}

const TARGET_MS = 1;
const PEER = "systeminformation";

/** Measures our sample, and what a library asks the machine for the same. */
export async function measureHost(
  { scratch, quick, say }: HostOptions,
): Promise<readonly Comparison[]> {
  const directories = { state: scratch, runtime: "/run", temporary: "/tmp" };
  const count = quick ? 50 : 1_000;
  const before = reapedFaults();
  const samples = Array.from({ length: count }, () => {
    const begun = performance.now();
    const spent = process.cpuUsage();
    sampleHost(machineFiles, directories);
    const { user, system } = process.cpuUsage(spent);
    return { ms: performance.now() - begun, cpuMs: (user + system) / 1_000 };
  }).slice(count / 10);
  const children = reapedFaults() - before;
  say(`${count} samples`);
  // @ts-types="../lib/foundations/host/systeminformation.d.ts"
  const { default: module } = await import("systeminformation");
  const library: typeof Library = module;
  const theirs: { readonly ms: number; readonly cpuMs: number }[] = [];
  for (let round = 0; round < (quick ? 2 : 10); round++) {
    const begun = performance.now();
    const spent = process.cpuUsage();
    await Promise.all([
      library.currentLoad(),
      library.mem(),
      library.fsSize(),
      library.networkStats(),
    ]);
    const { user, system } = process.cpuUsage(spent);
    theirs.push({ ms: performance.now() - begun, cpuMs: (user + system) / 1_000 });
  }
  return [
    {
      name: "sample of the machine",
      unit: "ms",
      better: "lower",
      target: TARGET_MS,
      ours: { name: "from /proc", samples: samples.map(({ ms }) => ms) },
      peers: [{ name: PEER, samples: theirs.map(({ ms }) => ms) }],
      notes: [
        children === 0
          ? `${count} samples of the machine started no process`
          : `${count} samples of the machine started processes: ${children} page faults of children`,
      ],
    },
    {
      name: "sample of the machine, CPU",
      unit: "ms",
      better: "lower",
      target: TARGET_MS,
      ours: { name: "from /proc", samples: samples.map(({ cpuMs }) => cpuMs) },
      peers: [{ name: PEER, samples: theirs.map(({ cpuMs }) => cpuMs) }],
      notes: ["of the process and all its threads, without children"],
    },
  ];
}
