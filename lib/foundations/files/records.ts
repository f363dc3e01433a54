/**
 * Small files of the suite: read if they exist, written atomically.
 *
 * @module
 */

/** Reads a text file; `undefined` if it does not exist. */
export function readIfThere(path: string): Promise<string | undefined> {
  return ifThere(() => Deno.readTextFile(path));
}

/** Returns the status of a path, without following a link; `undefined` if it does not exist. */
export function statIfThere(path: string): Promise<Deno.FileInfo | undefined> {
  return ifThere(() => Deno.lstat(path));
}

/** Returns true if something is at a path, even a dangling link. */
export async function exists(path: string): Promise<boolean> {
  return await statIfThere(path) !== undefined;
}

/** As {@linkcode exists}, but synchronous. */
export function existsSync(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Lists the names of the directories in a directory, without links; none if it does not exist. */
export function directoriesIn(path: string): readonly string[] {
  return namesIn(path, ({ isDirectory }) => isDirectory);
}

/** Lists the names of the regular files in a directory; none if it does not exist. */
export function filesIn(path: string): readonly string[] {
  return namesIn(path, ({ isFile }) => isFile);
}

/** Writes a file of mode 0600 atomically: readers see either the old text or the new one. */
export async function writeAtomic(path: string, text: string): Promise<void> {
  const draft = `${path}.tmp`;
  await Deno.writeTextFile(draft, text, { mode: 0o600 });
  await Deno.rename(draft, path);
}

/** As {@linkcode writeAtomic}, but synchronous. */
export function writeAtomicSync(path: string, text: string): void {
  const draft = `${path}.tmp`;
  Deno.writeTextFileSync(draft, text, { mode: 0o600 });
  Deno.renameSync(draft, path);
}

function namesIn(path: string, take: (entry: Deno.DirEntry) => boolean): readonly string[] {
  try {
    return [...Deno.readDirSync(path)].filter(take).map(({ name }) => name);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function ifThere<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** A path that leads through a file does not exist either. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}
