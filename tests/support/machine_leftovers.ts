/**
 * The directories of test machines, and what earlier runs left behind.
 *
 * A machine's name holds the number and the start time of the process that
 * owns it. So a machine whose owner is gone is known for what it is, even
 * after a crash, and after the number was given to another process.
 *
 * @module
 */
import {
  cgroupsNamed,
  findInit,
  killCgroup,
  killProcess,
  processIds,
  readIfThere,
  removeCgroup,
  runOnHost,
  startTicks,
} from "./machine_host.ts";
import { machineCache } from "./machine_root.ts";
import { waitFor } from "./machine_wait.ts";

/** The directory of one machine. */
export interface MachineDirectory {
  /** Also its host name and the name of its cgroup. */
  readonly name: string;
  readonly path: string;
  /** Takes the machine's writes. */
  readonly upper: string;
  readonly work: string;
  /** The root as the machine sees it, mounted. */
  readonly root: string;
  readonly console: string;
}

/** Names a new machine of this process. */
export async function newMachineDirectory(): Promise<MachineDirectory> {
  const owner = `${Deno.pid}-${await startTicks(Deno.pid) ?? "0"}`;
  return machineDirectory(`cicd-${owner}-${crypto.randomUUID().slice(0, 8)}`);
}

function machineDirectory(name: string): MachineDirectory {
  const path = `${machineCache()}/machines/${name}`;
  return {
    name,
    path,
    upper: `${path}/disk/upper`,
    work: `${path}/disk/work`,
    root: `${path}/root`,
    console: `${path}/console`,
  };
}

/** Removes every machine whose owner is gone. */
export async function sweepMachines(signal: AbortSignal): Promise<void> {
  const machines = `${machineCache()}/machines`;
  await Deno.mkdir(machines, { recursive: true });
  using lock = await Deno.open(`${machineCache()}/machines.lock`, { create: true, write: true });
  await lock.lock(true);
  for await (const { name } of Deno.readDir(machines)) {
    const [, pid, started] = /^cicd-(\d+)-(\d+)-[0-9a-f]+$/.exec(name) ?? [];
    if (pid === undefined || await startTicks(Number(pid)) === started) continue;
    await removeMachine(machineDirectory(name), signal);
  }
}

/** Kills a machine as a power cut does and removes everything of it. Idempotent. */
export async function removeMachine(
  directory: MachineDirectory,
  signal: AbortSignal,
): Promise<void> {
  await waitFor(`the end of machine ${directory.name}`, async () => {
    const pids = await supervisorsOf(directory);
    for (const pid of pids) {
      // The machine's first process would outlive its supervisor.
      const init = await findInit(pid);
      if (init !== undefined) killProcess(init, "SIGKILL");
      killProcess(pid, "SIGKILL");
    }
    return pids.length === 0;
  }, { timeoutMs: 20_000, signal });
  const groups = await cgroupsNamed(directory.name);
  // Only cgroup v2 can do this; it reaches those whose supervisor is gone.
  await Promise.all(groups.map(killCgroup));
  for (const group of groups) {
    await waitFor(`an empty cgroup ${group}`, () => removeCgroup(group), { signal });
  }
  await unmountBelow(directory.path, signal);
  // A bind mount that were still there must not have its source emptied.
  await runOnHost(["rm", "-rf", "--one-file-system", "--", directory.path], { signal });
}

/** Processes that hold the machine's directory in their command line: `systemd-nspawn`. */
async function supervisorsOf(directory: MachineDirectory): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await processIds()) {
    const words = (await readIfThere(`/proc/${pid}/cmdline`))?.split("\0") ?? [];
    if (words.includes(`--directory=${directory.root}`)) found.push(pid);
  }
  return found;
}

async function unmountBelow(path: string, signal: AbortSignal): Promise<void> {
  const mounts = await Deno.readTextFile("/proc/self/mountinfo");
  const points = mounts.split("\n").map((line) => line.split(" ")[4] ?? "");
  for (const point of points.filter((point) => point.startsWith(`${path}/`)).reverse()) {
    await runOnHost(["umount", point], { signal });
  }
}
