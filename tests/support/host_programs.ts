/**
 * What the suites need of the host they run on.
 *
 * @module
 */

/** A program, and Debian's package for it. */
export type Program = readonly [name: string, from: string];

/** Says which program is missing; `undefined` if all are there. */
export async function whyMissing(programs: readonly Program[]): Promise<string | undefined> {
  for (const [name, from] of programs) {
    if (await findProgram(name) === undefined) {
      return `${name} is not installed (package ${from})`;
    }
  }
  return undefined;
}

/** Returns the path of a program, also of one for root that is not on the account's path. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const directory of [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/bin"]) {
    const path = `${directory}/${name}`;
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
  return undefined;
}

/** Says that nothing can be mounted: a container without that right looks like root until it tries. */
export async function whyNoMounts(): Promise<string | undefined> {
  const { success } = await new Deno.Command("unshare", {
    args: ["--mount", "--pid", "--fork", "--", "mount", "-t", "tmpfs", "probe", "/mnt"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  return success ? undefined : "this account may not mount file systems, though it is root";
}
