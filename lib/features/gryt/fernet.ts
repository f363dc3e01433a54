/**
 * Opens Fernet tokens: AES-128-CBC with PKCS#7 under HMAC-SHA256.
 *
 * A token is base64url of the version 0x80, eight bytes of time, a 16-byte IV,
 * the ciphertext, and the MAC over all of it. The first half of the key signs,
 * the second encrypts. A token has no age here: the main API decides for how
 * long it gives one out.
 *
 * @module
 */
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
/** Longest token that is looked at, in characters. */
const TOKEN_MAX_CHARS = 64 * 1024;

/** A key for {@linkcode openFernet}. */
export type FernetKey = Secret<Uint8Array>;

/** What came of a token. */
export type FernetResult =
  | { readonly kind: "opened"; readonly text: Secret }
  /** `why` continues a sentence whose subject is the token; it holds nothing of it. */
  | { readonly kind: "refused"; readonly why: string };

/**
 * Reads a key: base64 of 32 bytes with padding, in either alphabet; white space around it is no
 * part of it.
 *
 * @param field Where the key was found, for messages.
 * @throws {CicdError} `invalid_config`; the message holds nothing of the key.
 */
export function parseFernetKey(text: string, { field }: { readonly field: string }): FernetKey {
  const bytes = fromBase64(text.trim());
  if (bytes?.length === KEY_BYTES) return new Secret(bytes);
  const problem = bytes === undefined
    ? "it is no base64 with padding; make one with: openssl rand -base64 32"
    : `it is base64 of ${bytes.length} bytes instead of ${KEY_BYTES}; make one with: ` +
      "openssl rand -base64 32";
  throw new CicdError("invalid_config", `Cannot use the Fernet key of "${field}": ${problem}`, {
    issues: [{ path: field, message: problem }],
  });
}

/** Opens a token that holds UTF-8 text. */
export function openFernet(key: FernetKey, token: string): FernetResult {
  if (token.length > TOKEN_MAX_CHARS) return refused("is too long to be one");
  const bytes = fromBase64(token.trim());
  if (bytes === undefined) return refused("is no base64 with padding");
  if (bytes.length < TOKEN_MIN_BYTES || bytes[0] !== VERSION) return refused("is no Fernet token");
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
    const parts = [decipher.update(bytes.subarray(textAt, macAt)), decipher.final()];
    const plain = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    plain.set(parts[0] ?? []);
    plain.set(parts[1] ?? [], parts[0]?.length ?? 0);
    return {
      kind: "opened",
      text: new Secret(new TextDecoder("utf-8", { fatal: true }).decode(plain)),
    };
  } catch {
    // Signed with the right key, so it was made wrongly; the cause would quote bytes of it.
    return refused("does not hold text");
  }
}

function refused(why: string): FernetResult {
  return { kind: "refused", why };
}

/** Padded base64 of either alphabet; `undefined` if it is none. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  const standard = text.replaceAll("-", "+").replaceAll("_", "/");
  if (
    standard === "" ||
    !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(standard)
  ) {
    return undefined;
  }
  return Uint8Array.fromBase64(standard);
}
