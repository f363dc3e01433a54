/**
 * Whether the VM suite can run on this host.
 *
 * @module
 */
import { type Program, whyMissing } from "./host_programs.ts";
import { hasVmRoot } from "./vm_root.ts";

/** Programs of the host that the machine needs, and Debian's package for each. */
const PROGRAMS: readonly Program[] = [
  ["qemu-system-x86_64", "qemu-system-x86"],
  ["mke2fs", "e2fsprogs"],
  ["setpriv", "util-linux"],
  ["tar", "tar"],
];
const MAKER: Program = ["mmdebstrap", "mmdebstrap"];

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
  return await whyMissing(await hasVmRoot() ? PROGRAMS : [...PROGRAMS, MAKER]);
}
