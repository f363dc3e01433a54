/**
 * The resources that processes and their descendants use, where no cgroup counts them.
 *
 * @module
 */
import type { MachineFiles } from "@lib/foundations/host/machine_files.ts";
import { parseProcess } from "@lib/foundations/host/proc_text.ts";

/** The resources that a tree of processes uses now; the time of ended ones is not in it. */
export interface TreeUse {
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly tasks: number;
}

/** With more processes on the machine, trees are not summed up. */
const MAX_PROCESSES = 4_096;

/** Deeper trees are cut off here. */
const MAX_DEPTH = 64;

/** The size of a page on the platforms of ours that have `/proc`. */
const PAGE_BYTES = 4_096;

/**
 * Sums up what each of these processes uses with its descendants, in one pass over `/proc`.
 *
 * @returns By process; those that are gone are left out.
 */
export function measureTrees(
  files: MachineFiles,
  roots: ReadonlySet<number>,
): ReadonlyMap<number, TreeUse> {
  const pids = files.list("/proc").filter((name) => /^\d+$/.test(name)).map(Number);
  if (pids.length > MAX_PROCESSES || roots.size === 0) return new Map();
  const found = new Map(pids.flatMap((pid) => {
    const process = parseProcess(files.read(`/proc/${pid}/stat`));
    return process === undefined ? [] : [[pid, process] as const];
  }));
  const sums = new Map<number, TreeUse>();
  for (const [pid, { cpuSeconds, residentPages }] of found) {
    let root: number | undefined = pid;
    for (let depth = 0; root !== undefined && !roots.has(root); depth++) {
      root = depth < MAX_DEPTH ? found.get(root)?.parent : undefined;
    }
    if (root === undefined) continue;
    const sum = sums.get(root) ?? { cpuSeconds: 0, memoryBytes: 0, tasks: 0 };
    sums.set(root, {
      cpuSeconds: sum.cpuSeconds + cpuSeconds,
      memoryBytes: sum.memoryBytes + residentPages * PAGE_BYTES,
      tasks: sum.tasks + 1,
    });
  }
  return sums;
}

/** Measures one process without its children; `undefined` if it is gone. */
export function measureProcess(files: MachineFiles, pid: number): TreeUse | undefined {
  const process = parseProcess(files.read(`/proc/${pid}/stat`));
  if (process === undefined) return undefined;
  const { cpuSeconds, residentPages } = process;
  return { cpuSeconds, memoryBytes: residentPages * PAGE_BYTES, tasks: 1 };
}
