/**
 * Small files of our own: read if there, written in one step.
 *
 * @module
 */

/** The text of a file; `undefined` if it is not there. */
export function readIfThere(path: string): Promise<string | undefined> {
  return ifThere(() => Deno.readTextFile(path));
}

/** What is at a path, links not followed; `undefined` if nothing is. */
export function statIfThere(path: string): Promise<Deno.FileInfo | undefined> {
  return ifThere(() => Deno.lstat(path));
}

/** Whether something is at a path, a dangling link included. */
export async function exists(path: string): Promise<boolean> {
  return await statIfThere(path) !== undefined;
}

/** As {@linkcode exists}, at once. */
export function existsSync(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The names of the directories in a directory, links not among them; none if it is not there. */
export function directoriesIn(path: string): readonly string[] {
  return namesIn(path, ({ isDirectory }) => isDirectory);
}

/** The names of the regular files in a directory; none if it is not there. */
export function filesIn(path: string): readonly string[] {
  return namesIn(path, ({ isFile }) => isFile);
}

/** Writes a file of mode 0600 in one step: whoever reads sees the old text or the new one, whole. */
export async function writeAtomic(path: string, text: string): Promise<void> {
  const draft = `${path}.tmp`;
  await Deno.writeTextFile(draft, text, { mode: 0o600 });
  await Deno.rename(draft, path);
}

/** As {@linkcode writeAtomic}, at once. */
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

/** Nothing is below a path that leads through a file, either. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}
