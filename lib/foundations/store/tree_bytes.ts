/**
 * The disk space that a folder takes.
 *
 * @module
 */

/**
 * Sums up the blocks of a file, or of a folder and all that is in it.
 *
 * Symbolic links are counted, not followed. What vanishes meanwhile, or may not be looked into,
 * counts nothing; so does a path that is not there.
 */
export async function treeBytes(path: string, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const info = await unlessGone(() => Deno.lstat(path));
  if (info === undefined) return 0;
  let bytes = info.blocks === null ? info.size : info.blocks * 512;
  if (!info.isDirectory) return bytes;
  for (const name of await unlessGone(() => namesIn(path)) ?? []) {
    bytes += await treeBytes(`${path}/${name}`, signal);
  }
  return bytes;
}

async function namesIn(path: string): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(path)) names.push(name);
  return names;
}

async function unlessGone<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}
