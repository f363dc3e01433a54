/**
 * Reads files that nobody else may read.
 *
 * @module
 */
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";

/** Options for {@linkcode readSmallFile}. */
export interface SmallFileOptions {
  /** What is read, for messages: `key file`, `secret of "api.key"`. */
  readonly what: string;
  /** Longest content, in bytes. */
  readonly maxBytes: number;
  /** Whether a file that others may read, or anyone execute, is refused. */
  readonly mustBePrivate: boolean;
}

/**
 * Reads a whole regular file.
 *
 * @returns `undefined` if it does not exist.
 * @throws {CicdError} `invalid_config` if it is no regular file, too long or not
 * private; `io_failed` if it cannot be read.
 */
export function readSmallFile(path: string, options: SmallFileOptions): Uint8Array | undefined {
  const { what, maxBytes, mustBePrivate } = options;
  try {
    // Looked at before it is opened: to open a pipe would block.
    if (!Deno.statSync(path).isFile) {
      throw new CicdError("invalid_config", `Cannot read ${what} from "${path}": it is no file`);
    }
    using file = Deno.openSync(path, { read: true });
    const mode = (file.statSync().mode ?? 0) & 0o7777;
    if (mustBePrivate && (mode & ~0o600) !== 0) {
      throw new CicdError(
        "invalid_config",
        `Cannot read ${what} from "${path}": its mode is ${mode.toString(8).padStart(4, "0")}, ` +
          "which is wider than 0600; run chmod 600 on it",
      );
    }
    const bytes = new Uint8Array(maxBytes + 1);
    let length = 0;
    while (length < bytes.length) {
      const count = file.readSync(bytes.subarray(length));
      if (count === null) break;
      length += count;
    }
    if (length > maxBytes) {
      throw new CicdError(
        "invalid_config",
        `Cannot read ${what} from "${path}": it is longer than ${formatSize(maxBytes)}`,
      );
    }
    return bytes.slice(0, length);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof CicdError) throw error;
    throw new CicdError("io_failed", `Cannot read ${what} from "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
}
