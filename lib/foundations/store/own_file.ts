/**
 * Opening a file of the state directory that someone else may have replaced.
 *
 * @module
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";

/** An open file. */
export interface OwnFile extends Disposable {
  readonly fd: number;
}

/**
 * Opens a regular file, without waiting: opening a FIFO that has no other end would stop the program.
 *
 * @param flags Those of open(2); a new file gets mode 0600.
 * @throws {Error} If it cannot be opened, or is anything else.
 */
export function openOwnFile(path: string, flags: number): OwnFile {
  const fd = openSync(path, flags | constants.O_NONBLOCK, 0o600);
  const file = { fd, [Symbol.dispose]: () => closeSync(fd) };
  if (fstatSync(fd).isFile()) return file;
  file[Symbol.dispose]();
  throw new Error(`${path} is not a file`);
}
