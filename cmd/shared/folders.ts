/**
 * The folders of the suite.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";

/**
 * Makes a folder that only this account may enter.
 *
 * @throws {CicdError} `io_failed`, naming the folder.
 */
export function ensurePrivateFolder(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
    const { mode, isDirectory } = Deno.statSync(path);
    if (!isDirectory) throw new Error("it is no folder");
    if (mode !== null && (mode & 0o077) !== 0) Deno.chmodSync(path, 0o700);
  } catch (error) {
    throw new CicdError("io_failed", `Cannot use folder "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
