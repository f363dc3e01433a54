/**
 * Seals secrets for the disk: AES-256-GCM (NIST SP 800-38D) under the key file.
 *
 * An envelope is `"S"`, version 1, the key's id, a random 12-byte nonce, the
 * sealed bytes, and the 16-byte tag. Header and context are authenticated, so
 * an envelope can be neither changed nor moved to another job. This keeps
 * secrets out of backups and copies of the database; it keeps nothing from who
 * can read the key file, that is, from the account itself.
 *
 * Everything here is synchronous: it takes microseconds and stands in the way
 * of a submission.
 *
 * @module
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { CicdError } from "@lib/core/errors.ts";
import { KEY_ID_BYTES, type SealingKey } from "@lib/foundations/secrets/sealing_key.ts";

export { openKey } from "@lib/foundations/secrets/sealing_key.ts";

const ALGORITHM = "aes-256-gcm";
const PREAMBLE = new Uint8Array([0x53, 1]);
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = PREAMBLE.length + KEY_ID_BYTES + NONCE_BYTES;

/**
 * Seals bytes.
 *
 * @param context What the envelope belongs to, such as a job's id; it
 * can be opened in the same context only.
 */
export function seal(
  key: SealingKey,
  bytes: Uint8Array,
  context: string,
): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(HEADER_BYTES);
  header.set(PREAMBLE);
  header.set(key.id, PREAMBLE.length);
  header.set(randomBytes(NONCE_BYTES), PREAMBLE.length + KEY_ID_BYTES);
  const cipher = createCipheriv(ALGORITHM, key.key.expose(), nonceOf(header), {
    authTagLength: TAG_BYTES,
  });
  cipher.setAAD(authenticated(header, context));
  const sealed = [cipher.update(bytes), cipher.final(), cipher.getAuthTag()];
  const envelope = new Uint8Array(HEADER_BYTES + bytes.length + TAG_BYTES);
  envelope.set(header);
  let at = HEADER_BYTES;
  for (const part of sealed) {
    envelope.set(part, at);
    at += part.length;
  }
  return envelope;
}

/**
 * Opens what {@linkcode seal} made.
 *
 * @throws {CicdError} `invalid_config` if it was sealed with another key,
 * `store_newer` if by a newer version, `store_corrupt` if it is damaged or
 * belongs to another context.
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
      `Cannot unseal a secret: its envelope is of version ${envelope[1]}`,
    );
  }
  const header = envelope.subarray(0, HEADER_BYTES);
  if (!key.id.every((byte, at) => header[PREAMBLE.length + at] === byte)) {
    throw new CicdError(
      "invalid_config",
      "Cannot unseal a secret: it was sealed with another key file; restore that file",
    );
  }
  const tagAt = envelope.length - TAG_BYTES;
  try {
    const decipher = createDecipheriv(ALGORITHM, key.key.expose(), nonceOf(header), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(authenticated(header, context));
    decipher.setAuthTag(envelope.subarray(tagAt));
    const bytes = new Uint8Array(tagAt - HEADER_BYTES);
    const first = decipher.update(envelope.subarray(HEADER_BYTES, tagAt));
    bytes.set(first);
    bytes.set(decipher.final(), first.length);
    return bytes;
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
 * Opens what {@linkcode sealMap} made.
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
  const text = new TextEncoder().encode(context);
  const bytes = new Uint8Array(header.length + text.length);
  bytes.set(header);
  bytes.set(text, header.length);
  return bytes;
}
