/**
 * The key file under which secrets lie on disk.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";

/** Bytes of a key: AES-256. */
const KEY_BYTES = 32;
/** Bytes of a key's id. */
export const KEY_ID_BYTES = 8;

/** A key and its name. */
export interface SealingKey {
  /** Derived from the key; tells keys apart and gives nothing away. */
  readonly id: Uint8Array;
  readonly key: Secret<Uint8Array>;
}

/**
 * Reads the key file, making it if there is none.
 *
 * Several processes may do this at once: one of them makes the key and all get
 * the same. The directory must exist.
 *
 * @throws {CicdError} `invalid_config` if the file's mode is wider than 0600 or
 * its length is wrong, `io_failed` if it cannot be read or made.
 */
export function openKey(path: string): SealingKey {
  const bytes = readKey(path) ?? makeKey(path);
  if (bytes.length !== KEY_BYTES) {
    throw new CicdError(
      "invalid_config",
      `Cannot use key file "${path}": it has ${bytes.length} bytes instead of ${KEY_BYTES}; ` +
        "restore it, or remove it and submit again what was sealed with it",
    );
  }
  return sealingKey(bytes);
}

/**
 * Makes a sealing key of bytes.
 *
 * @throws {RangeError} If `bytes` are not {@linkcode KEY_BYTES}.
 */
export function sealingKey(bytes: Uint8Array): SealingKey {
  if (bytes.length !== KEY_BYTES) {
    throw new RangeError(`Cannot make a key of ${bytes.length} bytes: it takes ${KEY_BYTES}`);
  }
  const id = createHash("sha256").update("cicd-toolkit key id\0").update(bytes).digest();
  return { id: new Uint8Array(id.subarray(0, KEY_ID_BYTES)), key: new Secret(bytes.slice()) };
}

function readKey(path: string): Uint8Array | undefined {
  return readSmallFile(path, { what: "key file", maxBytes: 1024, mustBePrivate: true });
}

/** Written apart and then linked into place, so that nobody ever sees half a key. */
function makeKey(path: string): Uint8Array {
  const temporary = `${path}.${randomBytes(8).toString("hex")}.tmp`;
  try {
    try {
      using file = Deno.openSync(temporary, { write: true, createNew: true, mode: 0o600 });
      const bytes = new Uint8Array(randomBytes(KEY_BYTES));
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      file.syncSync();
      link(temporary, path);
    } finally {
      Deno.removeSync(temporary);
    }
    using directory = Deno.openSync(dirname(path), { read: true });
    directory.syncSync();
  } catch (error) {
    throw new CicdError("io_failed", `Cannot make key file "${path}": ${messageOf(error)}`, {
      cause: error,
    });
  }
  // Another process may have been first: what counts is what lies there now.
  return readKey(path) ?? new Uint8Array(0);
}

function link(temporary: string, path: string): void {
  try {
    Deno.linkSync(temporary, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}
