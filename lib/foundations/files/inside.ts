/**
 * Single files below a directory, by an untrusted path.
 *
 * @module
 */
import type { FileReader } from "@lib/foundations/files/file_reader.ts";
import {
  type Directory,
  NotADirectoryError,
  openDirectory,
} from "@lib/foundations/files/directory.ts";

/** Describes what is wrong with a path below a directory; `undefined` if it is valid. */
export function insidePathProblem(path: string): string | undefined {
  if (path === "") return "is empty";
  if (path.startsWith("/")) return "is absolute; write it relative to the workspace";
  if (/\p{Cc}/u.test(path)) return "contains a control character";
  if (byteLength(path) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`;
  const parts = path.replace(/\/$/, "").split("/");
  if (parts.includes("..")) return 'contains ".."; stay in the workspace';
  if (parts.some((part) => part === "" || part === ".")) {
    return 'has an empty part or "."; write it in its shortest form';
  }
  return parts.some((part) => part.length > 255 / 3 && byteLength(part) > 255)
    ? "has a part longer than 255 bytes"
    : undefined;
}

const MAX_PATH_BYTES = 1_024;

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/**
 * Opens a regular file below `top`.
 *
 * @returns `undefined` if there is none, or if a link, a pipe or a device is in the way.
 * @throws {RangeError} If the path is invalid.
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
 * Opens the directory of `path`, creating directories as needed.
 *
 * @returns The directory, which the caller disposes, and the last part of the path.
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
 * Writes a file below `top`. An existing file or link is replaced, never written through.
 *
 * @throws {NotADirectoryError} If a link or a file is in place of a directory of the path, or a
 * directory in place of the file.
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
