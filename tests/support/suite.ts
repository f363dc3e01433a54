/**
 * Whether the system suite can run on this host.
 *
 * @module
 */
import { type Program, whyMissing, whyNoMounts } from "./host_programs.ts";
import { machineRootPath } from "./machine_root.ts";
import { cgroupMount } from "./machine_supervisor.ts";

/** Programs of the host that every machine needs, and Debian's package for each. */
const PROGRAMS: readonly Program[] = [
  ["systemd-nspawn", "systemd-container"],
  ["nsenter", "util-linux"],
  ["setsid", "util-linux"],
  ["unshare", "util-linux"],
  ["mount", "mount"],
  ["chroot", "coreutils"],
];
const MAKER: Program = ["mmdebstrap", "mmdebstrap"];

/**
 * Says why no test machine can be booted here.
 *
 * @returns One line for people, or `undefined` if one can be.
 */
export async function whyNoMachines(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return `this is ${Deno.build.os}, and systemd needs Linux`;
  if (Deno.uid() !== 0) return "only root can boot a container; run the tests as root";
  const hasRoot = await Deno.stat(await machineRootPath()).then(() => true, () => false);
  return await whyMissing(hasRoot ? PROGRAMS : [...PROGRAMS, MAKER]) ??
    await whyNoMounts() ?? await whyNoCgroup();
}

async function whyNoCgroup(): Promise<string | undefined> {
  const mount = await cgroupMount();
  if (mount === undefined) return "no cgroup v2 hierarchy is mounted";
  const probe = `${mount}/cicd-probe-${Deno.pid}`;
  try {
    await Deno.mkdir(probe);
    await Deno.remove(probe);
    return undefined;
  } catch {
    return `the cgroup v2 hierarchy in ${mount} is read-only`;
  }
}
