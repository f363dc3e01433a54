/**
 * Opens Fernet tokens: AES-128-CBC with PKCS#7 under HMAC-SHA256.
 *
 * A token is base64url of the version 0x80, eight bytes of time, a 16-byte IV,
 * the ciphertext, and the MAC over all of it. The first half of the key signs,
 * the second encrypts. Tokens do not expire here: the main API decides for how
 * long it hands one out.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createDecipheriv, createHmac, timingSafeEqual } from "node:crypto";
import { CicdError } from "@lib/core/errors.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";

const KEY_BYTES = 32;
const HALF_KEY_BYTES = 16;
const VERSION = 0x80;
const VERSION_AND_TIME_BYTES = 9;
const BLOCK_BYTES = 16;
const MAC_BYTES = 32;
const TOKEN_MIN_BYTES = VERSION_AND_TIME_BYTES + BLOCK_BYTES + BLOCK_BYTES + MAC_BYTES;
/** Longest token, in characters. */
const TOKEN_MAX_CHARS = 64 * 1024;

/** A key for {@linkcode openFernet}. */
export type FernetKey = Secret<Uint8Array>;

/** The result of {@linkcode openFernet}. */
export type FernetResult =
  | { readonly kind: "opened"; readonly text: Secret }
  /** `why` continues a sentence whose subject is the token, and quotes nothing of it. */
  | { readonly kind: "refused"; readonly why: string };

/**
 * Parses a key: base64 of 32 bytes with padding, in either alphabet; trims white space.
 *
 * @param field Origin of the key, for messages.
 * @throws {CicdError} `invalid_config`; the message quotes nothing of the key.
 */
export function parseFernetKey(text: string, { field }: { readonly field: string }): FernetKey {
  const bytes = fromBase64(text.trim());
  if (bytes?.length === KEY_BYTES) return new Secret(bytes);
  const problem = bytes === undefined
    ? "it is not base64 with padding"
    : `it is base64 of ${bytes.length} bytes instead of ${KEY_BYTES}`;
  const message = `${problem}; make one with: openssl rand -base64 32`;
  throw new CicdError("invalid_config", `Cannot use the Fernet key of "${field}": ${message}`, {
    issues: [{ path: field, message }],
  });
}

/** Decrypts a token of UTF-8 text. */
export function openFernet(key: FernetKey, token: string): FernetResult {
  if (token.length > TOKEN_MAX_CHARS) return refused("is too long");
  const bytes = fromBase64(token.trim());
  if (bytes === undefined) return refused("is not base64 with padding");
  if (bytes.length < TOKEN_MIN_BYTES || bytes[0] !== VERSION) {
    return refused("is not a Fernet token");
  }
  const macAt = bytes.length - MAC_BYTES;
  const signed = bytes.subarray(0, macAt);
  const keyBytes = key.expose();
  const mac = createHmac("sha256", keyBytes.subarray(0, HALF_KEY_BYTES)).update(signed).digest();
  if (!timingSafeEqual(mac, bytes.subarray(macAt))) {
    return refused("was made with another key, or is damaged");
  }
  const textAt = VERSION_AND_TIME_BYTES + BLOCK_BYTES;
  const iv = bytes.subarray(VERSION_AND_TIME_BYTES, textAt);
  try {
    const decipher = createDecipheriv("aes-128-cbc", keyBytes.subarray(HALF_KEY_BYTES), iv);
    const ciphertext = bytes.subarray(textAt, macAt);
    const plain = Buffer.concat([decipher.update(ciphertext), decipher.final()]);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(plain);
    return { kind: "opened", text: new Secret(text) };
  } catch {
    // The signature is right, so the token was made wrongly; the cause would quote bytes of it.
    return refused("does not hold text");
  }
}

function refused(why: string): FernetResult {
  return { kind: "refused", why };
}

/** Decodes padded base64 of either alphabet; `undefined` if the text is something else. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  const standard = text.replaceAll("-", "+").replaceAll("_", "/");
  const padded = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
  return standard !== "" && padded.test(standard) ? Uint8Array.fromBase64(standard) : undefined;
}
