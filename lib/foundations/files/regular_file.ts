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

/** Errors of opening something else than a regular file. */
const NOT_A_FILE: ReadonlySet<unknown> = new Set(["ENOENT", "ENOTDIR", "ELOOP", "ENXIO", "EISDIR"]);

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
    fd = openSync(path, isLinux() ? NAME_ONLY : unwaiting(access));
  } catch (error) {
    if (error instanceof Error && "code" in error && NOT_A_FILE.has(error.code)) return undefined;
    throw error;
  }
  try {
    if (!fstatSync(fd).isFile()) return undefined;
    return Deno.openSync(`${isLinux() ? "/proc/self/fd" : "/dev/fd"}/${fd}`, access);
  } finally {
    closeSync(fd);
  }
}

function isLinux(): boolean {
  return Deno.build.os === "linux";
}

/**
 * Elsewhere a descriptor cannot only name a file. This one opens it, a FIFO without waiting for its
 * other end. Opening its number copies it, so it has the wanted access from the start.
 */
function unwaiting({ read = false, write = false, append = false }: Deno.OpenOptions): number {
  const { O_RDWR, O_WRONLY, O_RDONLY, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = constants;
  const access = write || append ? read ? O_RDWR : O_WRONLY : O_RDONLY;
  return access | (append ? O_APPEND : 0) | O_NOFOLLOW | O_NONBLOCK;
}
