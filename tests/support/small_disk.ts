/**
 * A file system that is soon full.
 *
 * @module
 */

/** A mounted file system; disposing unmounts it. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
}

/** Mounts a file system in memory; says so on the console where that is not allowed. */
export async function mountSmallDisk(size: string): Promise<SmallDisk | undefined> {
  const path = await Deno.makeTempDir({ prefix: "small-disk-" });
  const mount = new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", `size=${size},mode=0700`, "small-disk", path],
    stdin: "null",
    stderr: "null",
  });
  const { success } = await mount.output().catch(() => ({ success: false }));
  if (!success) {
    await Deno.remove(path);
    console.error("SKIPPED: a full disk can only be tested by root, who may mount one");
    return undefined;
  }
  return {
    path,
    async [Symbol.asyncDispose]() {
      await new Deno.Command("umount", { args: ["--lazy", path], stdin: "null" }).output();
      await Deno.remove(path);
    },
  };
}
