/**
 * The directories of the suite.
 *
 * @module
 */
import { directoryFailure } from "@lib/foundations/store/state_lock.ts";

/**
 * Makes a directory that only this account can access.
 *
 * @throws {CicdError} `store_unusable` or `disk_full`, naming the directory.
 */
export function ensurePrivateDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    const { mode, isDirectory } = Deno.statSync(path);
    if (!isDirectory) throw new Error("it is not a directory");
    if (mode !== null && (mode & 0o700) !== 0o700) {
      throw new Error(`its mode is 0${(mode & 0o777).toString(8)}, not 0700`);
    }
    if (mode !== null && (mode & 0o077) !== 0) Deno.chmodSync(path, 0o700);
  } catch (error) {
    throw directoryFailure(`directory "${path}"`, error);
  }
}
