/**
 * What units use, as the kernel counts it.
 *
 * @module
 */
import { systemctl } from "./programs.ts";

/** Memory of one process. */
export interface Weight {
  readonly rssKiB: number;
  readonly pssKiB: number;
  /** Private pages that no file backs. */
  readonly ownKiB: number;
}

/** Weighs the main process of a unit. */
export async function weigh(unit: string): Promise<Weight> {
  return await weighProcess(await systemctl("show", "--property=MainPID", "--value", unit));
}

/** Weighs a process. */
export async function weighProcess(pid: string): Promise<Weight> {
  const text = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`);
  const field = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]);
  return { rssKiB: field("Rss"), pssKiB: field("Pss"), ownKiB: field("Private_Dirty") };
}

/** Returns the control group of a unit of the user. */
export function groupOf(unit: string): Promise<string> {
  return systemctl("show", "--property=ControlGroup", "--value", unit);
}

/** Returns the control group of the user's service manager: the parent of a unit's main process. */
export async function managerGroup(unit: string): Promise<string> {
  const pid = await systemctl("show", "--property=MainPID", "--value", unit);
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const manager = /^PPid:\t(\d+)$/m.exec(status)?.[1] ?? "";
  const groups = await Deno.readTextFile(`/proc/${manager}/cgroup`);
  return /^0::(.+)$/m.exec(groups)?.[1] ?? "";
}

/** Returns the file that counts a control group's time. @throws {Error} If there is no such group. */
export function counterOf(group: string): string {
  for (const top of ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]) {
    const path = `${top}${group}/cpu.stat`;
    try {
      if (group !== "" && Deno.statSync(path).isFile) return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`Cannot find the processor time of control group "${group}"`);
}

/** Reads such a file: microseconds. */
export async function timeIn(counter: string): Promise<number> {
  return Number(/^usage_usec (\d+)$/m.exec(await Deno.readTextFile(counter))?.[1]);
}
