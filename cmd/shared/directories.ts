/**
 * The directories of the suite.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";

/**
 * Makes a directory that only this account can access.
 *
 * @throws {CicdError} `io_failed`, naming the directory.
 */
export function ensurePrivateDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    const { mode, isDirectory } = Deno.statSync(path);
    if (!isDirectory) throw new Error("it is not a directory");
    if (mode !== null && (mode & 0o077) !== 0) Deno.chmodSync(path, 0o700);
  } catch (error) {
    throw new CicdError("io_failed", `Cannot use directory "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
