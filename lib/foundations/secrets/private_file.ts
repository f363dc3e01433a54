/**
 * Reads small files that may have to be private.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";

/** Options for {@linkcode readSmallFile}. */
export interface SmallFileOptions {
  /** Names the content in messages: `key file`, `secret of "api.key"`. */
  readonly what: string;
  /** Longest content, in bytes. */
  readonly maxBytes: number;
  /** Refuses a file that others may read, or anyone execute. */
  readonly mustBePrivate: boolean;
}

/**
 * Reads a whole regular file.
 *
 * @returns `undefined` if it does not exist.
 * @throws {CicdError} `invalid_config` if it is not a regular file, too long, not private or not ours
 * to read; `io_failed` if reading fails.
 */
export function readSmallFile(path: string, options: SmallFileOptions): Uint8Array | undefined {
  const { what, maxBytes, mustBePrivate } = options;
  const invalid = (problem: string) =>
    new CicdError("invalid_config", `Cannot read ${what} from "${path}": ${problem}`);
  try {
    // Checked before it is opened: opening a pipe would block.
    if (!Deno.statSync(path).isFile) throw invalid("it is not a regular file");
    using file = Deno.openSync(path, { read: true });
    const mode = (file.statSync().mode ?? 0) & 0o7777;
    if (mustBePrivate && (mode & ~0o600) !== 0) {
      const octal = mode.toString(8).padStart(4, "0");
      throw invalid(`its mode is ${octal}, which is wider than 0600; run chmod 600 on it`);
    }
    const bytes = new Uint8Array(maxBytes + 1);
    let length = 0;
    while (length < bytes.length) {
      const count = file.readSync(bytes.subarray(length));
      if (count === null) break;
      length += count;
    }
    if (length > maxBytes) throw invalid(`it is longer than ${formatSize(maxBytes)}`);
    return bytes.slice(0, length);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof CicdError) throw error;
    // It does not pass by itself.
    if (error instanceof Deno.errors.PermissionDenied) throw invalid(messageOf(error));
    throw new CicdError("io_failed", `Cannot read ${what} from "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
