/**
 * Makes the files of a build independent of when and under which umask it was made.
 *
 * @module
 */
import { lutimes } from "node:fs/promises";

/**
 * Gives everything in a directory, and the directory itself, one modification time and the modes of
 * a release: 0755 for directories and programs, 0644 for other files.
 *
 * @param epochSeconds Seconds since the epoch.
 */
export async function stampTree(path: string, epochSeconds: number): Promise<void> {
  for await (const entry of Deno.readDir(path)) {
    const below = `${path}/${entry.name}`;
    if (entry.isDirectory) {
      await stampTree(below, epochSeconds);
      continue;
    }
    if (!entry.isSymlink) {
      const { mode } = await Deno.stat(below);
      await Deno.chmod(below, ((mode ?? 0) & 0o100) === 0 ? 0o644 : 0o755);
    }
    await lutimes(below, epochSeconds, epochSeconds);
  }
  await Deno.chmod(path, 0o755);
  await lutimes(path, epochSeconds, epochSeconds);
}
