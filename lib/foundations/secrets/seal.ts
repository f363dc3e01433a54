/**
 * Seals secrets for the disk: AES-256-GCM (NIST SP 800-38D) under the key file.
 *
 * An envelope is `"S"`, version 1, the key's id, a random 12-byte nonce, the sealed bytes, and the
 * 16-byte tag. Header and context are authenticated, so an envelope can be neither changed nor moved
 * to another job. This keeps secrets out of backups and copies of the database; it protects nothing
 * from those who can read the key file, that is, from the account itself.
 *
 * Everything here is synchronous: it takes microseconds of a submission.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { readSmallFile } from "@lib/foundations/secrets/private_file.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";

const ALGORITHM = "aes-256-gcm";
const PREAMBLE = new Uint8Array([0x53, 1]);
const KEY_BYTES = 32;
const KEY_ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = PREAMBLE.length + KEY_ID_BYTES + NONCE_BYTES;

/** A key and its id. */
interface SealingKey {
  /** Derived from the key; tells keys apart and reveals nothing. */
  readonly id: Uint8Array;
  readonly key: Secret<Uint8Array>;
}

/**
 * Reads the key file, creating it if there is none.
 *
 * Several processes may do this at once: one of them makes the key and all get the same. The
 * directory must exist.
 *
 * @throws {CicdError} `invalid_config` if the file's mode is wider than 0600 or its length is wrong,
 * `io_failed` if it cannot be read or made.
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

/** Makes a sealing key of the 32 bytes of a key file. */
export function sealingKey(bytes: Uint8Array): SealingKey {
  const id = createHash("sha256").update("cicd-toolkit key id\0").update(bytes).digest();
  return { id: new Uint8Array(id.subarray(0, KEY_ID_BYTES)), key: new Secret(bytes.slice()) };
}

/** Returns the bytes with which every envelope of this key begins, and of no other. */
export function envelopePrefix({ id }: SealingKey): Uint8Array {
  return new Uint8Array([...PREAMBLE, ...id]);
}

/**
 * Seals bytes.
 *
 * @param context The owner of the envelope, such as a job's id; only the same context opens it.
 */
export function seal(
  key: SealingKey,
  bytes: Uint8Array,
  context: string,
): Uint8Array<ArrayBuffer> {
  const header = Buffer.concat([PREAMBLE, key.id, randomBytes(NONCE_BYTES)]);
  const cipher = createCipheriv(ALGORITHM, key.key.expose(), nonceOf(header), {
    authTagLength: TAG_BYTES,
  });
  cipher.setAAD(authenticated(header, context));
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return new Uint8Array(Buffer.concat([header, sealed, cipher.getAuthTag()]));
}

/**
 * Opens an envelope of {@linkcode seal}.
 *
 * @throws {CicdError} `invalid_config` if it was sealed with another key, `store_newer` if by a
 * newer version, `store_corrupt` if it is damaged or belongs to another context.
 */
export function unseal(
  key: SealingKey,
  envelope: Uint8Array,
  context: string,
): Uint8Array<ArrayBuffer> {
  if (envelope.length < HEADER_BYTES + TAG_BYTES || envelope[0] !== PREAMBLE[0]) {
    throw new CicdError("store_corrupt", "Cannot unseal a secret: it is not a sealed envelope");
  }
  if (envelope[1] !== PREAMBLE[1]) {
    throw new CicdError(
      "store_newer",
      `Cannot unseal a secret: its envelope has version ${envelope[1]}`,
    );
  }
  const header = envelope.subarray(0, HEADER_BYTES);
  if (!key.id.every((byte, at) => header[PREAMBLE.length + at] === byte)) {
    throw new CicdError(
      "invalid_config",
      "Cannot unseal a secret: it was sealed with another key file; restore that file",
    );
  }
  try {
    const decipher = createDecipheriv(ALGORITHM, key.key.expose(), nonceOf(header), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(authenticated(header, context));
    decipher.setAuthTag(envelope.subarray(-TAG_BYTES));
    const first = decipher.update(envelope.subarray(HEADER_BYTES, -TAG_BYTES));
    return new Uint8Array(Buffer.concat([first, decipher.final()]));
  } catch (error) {
    throw new CicdError(
      "store_corrupt",
      "Cannot unseal a secret: it is damaged, or belongs to another job",
      { cause: error },
    );
  }
}

/** Seals values by name. */
export function sealMap(
  key: SealingKey,
  secrets: ReadonlyMap<string, string>,
  context: string,
): Uint8Array<ArrayBuffer> {
  return seal(key, new TextEncoder().encode(JSON.stringify([...secrets])), context);
}

/**
 * Opens an envelope of {@linkcode sealMap}.
 *
 * @throws {CicdError} As {@linkcode unseal} does.
 */
export function unsealMap(
  key: SealingKey,
  envelope: Uint8Array,
  context: string,
): ReadonlyMap<string, string> {
  const secrets = new Map<string, string>();
  for (const entry of parseEntries(unseal(key, envelope, context))) {
    const [name, value]: unknown[] = Array.isArray(entry) ? entry : [];
    if (typeof name !== "string" || typeof value !== "string") throw notNamesAndValues();
    secrets.set(name, value);
  }
  return secrets;
}

function parseEntries(bytes: Uint8Array): readonly unknown[] {
  try {
    const entries: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (Array.isArray(entries)) return entries;
  } catch {
    throw notNamesAndValues(); // Without the cause: its message quotes the text.
  }
  throw notNamesAndValues();
}

function notNamesAndValues(): CicdError {
  return new CicdError("store_corrupt", "Cannot unseal secrets: they are not names and values");
}

function nonceOf(header: Uint8Array): Uint8Array {
  return header.subarray(HEADER_BYTES - NONCE_BYTES);
}

function authenticated(header: Uint8Array, context: string): Uint8Array {
  return Buffer.concat([header, new TextEncoder().encode(context)]);
}

function readKey(path: string): Uint8Array | undefined {
  return readSmallFile(path, { what: "key file", maxBytes: 1024, mustBePrivate: true });
}

/** Writes the key to a file of its own and links it into place, so that no process sees half a key. */
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
  // Another process may have been first; its key counts.
  return readKey(path) ?? new Uint8Array(0);
}

function link(temporary: string, path: string): void {
  try {
    Deno.linkSync(temporary, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}
