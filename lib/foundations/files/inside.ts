/**
 * Single files below a directory, by a path that may come from anyone.
 *
 * @module
 */
import type { FileReader } from "@lib/foundations/files/file_reader.ts";
import {
  type Directory,
  NotADirectoryError,
  openDirectory,
} from "@lib/foundations/files/directory.ts";

/** Says what is wrong with a path below a directory; `undefined` if nothing is. */
export function insidePathProblem(path: string): string | undefined {
  if (path === "") return "is empty";
  if (path.startsWith("/")) return "is absolute; write it relative to the workspace";
  if (/\p{Cc}/u.test(path)) return "contains a control character";
  if (new TextEncoder().encode(path).length > MAX_PATH_BYTES) {
    return `is longer than ${MAX_PATH_BYTES} bytes`;
  }
  const parts = path.replace(/\/$/, "").split("/");
  if (parts.includes("..")) return 'contains ".."; stay in the workspace';
  if (parts.some((part) => part === "" || part === ".")) {
    return 'has an empty part or "."; write it in its shortest form';
  }
  if (parts.some((part) => new TextEncoder().encode(part).length > 255)) {
    return "has a part longer than 255 bytes";
  }
  return undefined;
}

const MAX_PATH_BYTES = 1_024;

/**
 * Opens a regular file below `top`.
 *
 * @returns `undefined` if there is none: also where a link, a pipe or a device is in the way.
 * @throws {RangeError} If the path has a problem.
 */
export function openInside(top: string, path: string): FileReader | undefined {
  try {
    using stack = new DisposableStack();
    const { directories, name } = partsOf(path);
    let directory = stack.use(openDirectory(top));
    for (const part of directories) directory = stack.use(directory.directory(part));
    return directory.file(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof NotADirectoryError) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Opens the directory that is to hold `path`, and makes the directories on the way.
 *
 * @returns The directory, to be disposed, and the last part of the path.
 * @throws {NotADirectoryError} If a link or a file is in the way.
 */
export function openParent(top: Directory, path: string): { directory: Directory; name: string } {
  const { directories, name } = partsOf(path);
  let directory = top.again();
  for (const part of directories) {
    using outer = directory;
    directory = outer.makeDirectory(part);
  }
  return { directory, name };
}

/**
 * Writes a file below `top`. A file or link of the name is replaced, never written through.
 *
 * @throws {NotADirectoryError} If a link or a file is where a directory of the path must be, or a
 * directory where the file must be.
 */
export async function writeInside(
  top: Directory,
  path: string,
  { bytes, mode }: { readonly bytes: Uint8Array; readonly mode: number },
): Promise<void> {
  const { directory, name } = openParent(top, path);
  using parent = directory;
  if (parent.look(name) === "directory") throw new NotADirectoryError(`"${path}" is a directory`);
  parent.remove(name);
  await parent.writeFile(name, [bytes], mode);
}

function partsOf(path: string): { readonly directories: readonly string[]; readonly name: string } {
  const problem = insidePathProblem(path);
  if (problem !== undefined) throw new RangeError(`The path ${JSON.stringify(path)} ${problem}`);
  const parts = path.replace(/\/$/, "").split("/");
  return { directories: parts.slice(0, -1), name: parts.at(-1) ?? "" };
}
