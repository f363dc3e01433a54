/**
 * Whether the VM suite can run on this host.
 *
 * @module
 */
import { hasVmRoot } from "./vm_root.ts";

/** Programs of the host that the machine needs, and Debian's package for each. */
const PROGRAMS = [
  ["qemu-system-x86_64", "qemu-system-x86"],
  ["mke2fs", "e2fsprogs"],
  ["setpriv", "util-linux"],
  ["tar", "tar"],
] as const;

/**
 * Says why no machine can be emulated here.
 *
 * @returns One line for people, or `undefined` if one can be.
 */
export async function whyNoVm(): Promise<string | undefined> {
  const { os, arch } = Deno.build;
  if (os !== "linux") return `this is ${os}, and the machine is made on Linux`;
  // The release in the machine is one of this host's kind.
  if (arch !== "x86_64") return `this is ${arch}, and the machine is an x86_64`;
  if (Deno.uid() !== 0) return "only root can make the machine's disk; run the suite as root";
  for (const [program, from] of PROGRAMS) {
    if (!await isInstalled(program)) return `${program} is not installed (package ${from})`;
  }
  if (!await hasVmRoot() && !await isInstalled("mmdebstrap")) {
    return "mmdebstrap is not installed (package mmdebstrap)";
  }
  return undefined;
}

async function isInstalled(program: string): Promise<boolean> {
  const directories = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/bin"];
  for (const directory of directories) {
    if (await Deno.stat(`${directory}/${program}`).then(() => true, () => false)) return true;
  }
  return false;
}
