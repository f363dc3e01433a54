/**
 * Measures a sample of the machine, and counts the processes that it starts.
 *
 * @module
 */
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

/** Measures our sample, and what a library asks the machine for the same. */
export async function measureHost(
  { scratch, quick, say }: HostOptions,
): Promise<readonly Comparison[]> {
  const directories = { state: scratch, runtime: "/run", temporary: "/tmp" };
  const count = quick ? 50 : 1_000;
  const before = reapedFaults();
  const ours = Array.from({ length: count }, () => {
    const begun = performance.now();
    sampleHost(machineFiles, directories);
    return performance.now() - begun;
  }).slice(count / 10);
  const children = reapedFaults() - before;
  say(`${count} samples`);
  // @ts-types="../lib/foundations/host/systeminformation.d.ts"
  const { default: module } = await import("systeminformation");
  const library: typeof Library = module;
  const theirs: number[] = [];
  for (let round = 0; round < (quick ? 2 : 10); round++) {
    const begun = performance.now();
    await Promise.all([
      library.currentLoad(),
      library.mem(),
      library.fsSize(),
      library.networkStats(),
    ]);
    theirs.push(performance.now() - begun);
  }
  return [{
    name: "sample of the machine",
    unit: "ms",
    better: "lower",
    target: TARGET_MS,
    ours: { name: "from /proc", samples: ours },
    peers: [{ name: "systeminformation", samples: theirs }],
    notes: [
      children === 0
        ? `${count} samples of the machine started no process`
        : `${count} samples of the machine started processes: ${children} page faults of children`,
    ],
  }];
}
