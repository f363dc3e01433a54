/**
 * Looking into the state folder.
 *
 * @module
 */

/** An entry of a folder, as it stood when it was looked at. */
export interface FoundEntry {
  readonly name: string;
  readonly path: string;
  readonly isDirectory: boolean;
  readonly isFile: boolean;
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly changedAt: number;
}

/** The entries of a folder, with links as they are; none if the folder is not there. */
export async function entriesOf(path: string): Promise<readonly FoundEntry[]> {
  const found: FoundEntry[] = [];
  try {
    for await (const { name } of Deno.readDir(path)) {
      const entry = await entryAt(`${path}/${name}`);
      if (entry !== undefined) found.push(entry);
    }
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  return found;
}

/** The names of the folders below a folder; none if it is not there. */
export async function foldersIn(path: string): Promise<readonly string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      if (isDirectory) names.push(name);
    }
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  return names;
}

/** What lies at `path`; `undefined` if nothing does. */
export async function entryAt(path: string): Promise<FoundEntry | undefined> {
  try {
    const { isDirectory, isFile, size, mtime } = await Deno.lstat(path);
    return {
      name: path.slice(path.lastIndexOf("/") + 1),
      path,
      isDirectory,
      isFile,
      bytes: size,
      changedAt: mtime?.getTime() ?? 0,
    };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}
