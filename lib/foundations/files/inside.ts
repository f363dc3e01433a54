/**
 * Single files below a folder, by a path that may come from anyone.
 *
 * @module
 */
import type { FileReader } from "@lib/foundations/files/file_reader.ts";
import { type Folder, NotAFolderError, openFolder } from "@lib/foundations/files/folder.ts";

/** Says what is wrong with a path below a folder; `undefined` if nothing is. */
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
    const { folders, name } = partsOf(path);
    let folder = stack.use(openFolder(top));
    for (const part of folders) folder = stack.use(folder.folder(part));
    return folder.file(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof NotAFolderError) return undefined;
    throw error;
  }
}

/**
 * Opens the folder that is to hold `path`, and makes the folders on the way.
 *
 * @returns The folder, to be disposed, and the last part of the path.
 * @throws {NotAFolderError} If a link or a file is in the way.
 */
export function openParent(top: Folder, path: string): { folder: Folder; name: string } {
  const { folders, name } = partsOf(path);
  let folder = top.again();
  for (const part of folders) {
    using outer = folder;
    folder = outer.makeFolder(part);
  }
  return { folder, name };
}

/**
 * Writes a file below `top`. A file or link of the name is replaced, never written through.
 *
 * @throws {NotAFolderError} If a link or a file is where a folder of the path must be, or a folder
 * where the file must be.
 */
export async function writeInside(
  top: Folder,
  path: string,
  { bytes, mode }: { readonly bytes: Uint8Array; readonly mode: number },
): Promise<void> {
  const { folder, name } = openParent(top, path);
  using parent = folder;
  if (parent.look(name) === "folder") throw new NotAFolderError(`"${path}" is a folder`);
  parent.remove(name);
  await parent.writeFile(name, [bytes], mode);
}

function partsOf(path: string): { readonly folders: readonly string[]; readonly name: string } {
  const problem = insidePathProblem(path);
  if (problem !== undefined) throw new RangeError(`The path ${JSON.stringify(path)} ${problem}`);
  const parts = path.replace(/\/$/, "").split("/");
  return { folders: parts.slice(0, -1), name: parts.at(-1) ?? "" };
}
