/**
 * API keys as texts: `cicd_<id>_<secret>`.
 *
 * The id finds the record, the secret proves it. Of the whole text only a
 * SHA-256 is kept: with 256 random bits in it there is nothing to guess, so a
 * slow hash for passwords would cost each request and add nothing.
 *
 * @module
 */
import { createHash, randomBytes } from "node:crypto";

/** A key that was just made. Its text is shown once and kept nowhere. */
export interface NewKey {
  readonly id: string;
  readonly text: string;
  readonly hash: Uint8Array;
}

const ID_BYTES = 8;
const SECRET_BYTES = 32;
const PATTERN = /^cicd_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;

/** Makes a key. @param id Absent: a new one. */
export function mintKey(id = randomBytes(ID_BYTES).toString("hex")): NewKey {
  const text = `cicd_${id}_${randomBytes(SECRET_BYTES).toString("base64url")}`;
  return { id, text, hash: hashKey(text) };
}

/** The id in a key's text; `undefined` if it is no key. */
export function keyIdOf(text: string): string | undefined {
  return PATTERN.exec(text)?.[1];
}

/** What is kept of a key. */
export function hashKey(text: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(text).digest());
}

/** Whether a text is the id of a key. */
export function isKeyId(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}

/**
 * The key that a request shows, in `Authorization: Bearer` or `X-API-Key`.
 *
 * @returns `undefined` if it shows none.
 */
export function keyOf(headers: Headers): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ?? headers.get("x-api-key")?.trim();
}

/** What stands in for the hash of a key that is not on record. */
export const NO_HASH: Uint8Array = new Uint8Array(32);
