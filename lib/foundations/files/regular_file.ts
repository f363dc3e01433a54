/**
 * Opening a file in a directory that a job can write.
 *
 * @module
 */
import { closeSync, constants, existsSync, fstatSync, openSync } from "node:fs";

/**
 * A descriptor that only names the file (O_PATH): nothing is opened yet. Opening a FIFO that has no
 * other end would stop the whole program; opening a link would lead out of the directory.
 */
const NAME_ONLY = 0o10_000_000 | constants.O_NOFOLLOW;

/**
 * Opens a regular file; with `create`, creates it if needed, in place of anything else.
 *
 * @returns `undefined` if the path is missing, or a link, directory, FIFO, socket or device.
 */
export function openRegular(
  path: string,
  options: Deno.OpenOptions & { readonly create: true },
): Deno.FsFile;
export function openRegular(path: string, options: Deno.OpenOptions): Deno.FsFile | undefined;
export function openRegular(path: string, options: Deno.OpenOptions): Deno.FsFile | undefined {
  const { create = false, mode, ...access } = options;
  const file = openExisting(path, access);
  if (file !== undefined || !create) return file;
  const anew = () =>
    Deno.openSync(path, { ...access, createNew: true, ...(mode === undefined ? {} : { mode }) });
  try {
    return anew();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    Deno.removeSync(path);
    return anew();
  }
}

function openExisting(path: string, access: Deno.OpenOptions): Deno.FsFile | undefined {
  // Most records are not there, and an error takes longer than both looks. A closed directory is
  // one.
  const directory = path.slice(0, path.lastIndexOf("/") + 1);
  if (!existsSync(path) && existsSync(`${directory}.`)) return undefined;
  let fd: number;
  try {
    fd = openSync(path, NAME_ONLY);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return undefined;
    throw error;
  }
  try {
    return fstatSync(fd).isFile() ? Deno.openSync(`/proc/self/fd/${fd}`, access) : undefined;
  } finally {
    closeSync(fd);
  }
}
