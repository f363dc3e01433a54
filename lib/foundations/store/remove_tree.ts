/**
 * Removes directories that a job has filled.
 *
 * @module
 */

/**
 * Removes a directory and its content, if it exists.
 *
 * A job may leave read-only directories, as Go's module cache does; they are made writable first.
 * Symbolic links are removed, not followed.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await removeNow(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    await makeWritable(path);
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

async function makeWritable(path: string): Promise<void> {
  const { isDirectory } = await Deno.lstat(path);
  if (!isDirectory) return;
  await Deno.chmod(path, 0o700);
  for await (const entry of Deno.readDir(path)) {
    if (entry.isDirectory) await makeWritable(`${path}/${entry.name}`);
  }
}
