/**
 * Whether the system suite can run on this host.
 *
 * @module
 */
import { machineRootPath } from "./machine_root.ts";
import { cgroupMount } from "./machine_supervisor.ts";

/** Programs of the host that every machine needs, and Debian's package for each. */
const PROGRAMS = [
  ["systemd-nspawn", "systemd-container"],
  ["nsenter", "util-linux"],
  ["setsid", "util-linux"],
  ["unshare", "util-linux"],
  ["mount", "mount"],
  ["chroot", "coreutils"],
] as const;

/**
 * Says why no test machine can be booted here.
 *
 * @returns One line for people, or `undefined` if one can be.
 */
export async function whyNoMachines(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return `this is ${Deno.build.os}, and systemd needs Linux`;
  if (Deno.uid() !== 0) return "only root can boot a container; run the tests as root";
  for (const [program, from] of PROGRAMS) {
    if (!await isInstalled(program)) return `${program} is not installed (package ${from})`;
  }
  const root = await machineRootPath();
  if (!await exists(root) && !await isInstalled("mmdebstrap")) {
    return "mmdebstrap is not installed (package mmdebstrap)";
  }
  // A container without the right to mount looks like root until it tries.
  const mounts = await new Deno.Command("unshare", {
    args: ["--mount", "--pid", "--fork", "--", "mount", "-t", "tmpfs", "probe", "/mnt"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  if (!mounts.success) return "this account may not mount file systems, though it is root";
  return await whyNoCgroup();
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

async function isInstalled(program: string): Promise<boolean> {
  const directories = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/bin"];
  for (const directory of directories) {
    if (await exists(`${directory}/${program}`)) return true;
  }
  return false;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
