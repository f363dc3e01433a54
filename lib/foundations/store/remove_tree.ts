/**
 * Removing directories that a job has filled.
 *
 * @module
 */

/**
 * Removes a directory and all that is in it; one that is not there is no error.
 *
 * A job may leave directories that it took the right to write from, as Go's module cache does; the
 * right is given back. Symbolic links are removed, not followed.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await removeNow(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    await giveBackRights(path);
    await removeNow(path);
  }
}

async function removeNow(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function giveBackRights(path: string): Promise<void> {
  const { isDirectory } = await Deno.lstat(path);
  if (!isDirectory) return;
  await Deno.chmod(path, 0o700);
  for await (const entry of Deno.readDir(path)) {
    if (entry.isDirectory) await giveBackRights(`${path}/${entry.name}`);
  }
}
