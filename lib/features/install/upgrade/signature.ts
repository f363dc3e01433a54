/**
 * Verifies signatures in the format of minisign(1): Ed25519 over the BLAKE2b-512 hash of a file.
 *
 * Format: <https://jedisct1.github.io/minisign/#signature-format>. A key is 2 bytes of algorithm and
 * 8 of key number before the key itself.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** The half of a key pair that verifies. */
export interface PublicKey {
  /** As `minisign -P` takes it. */
  readonly text: string;
  readonly number: Uint8Array<ArrayBuffer>;
  readonly key: CryptoKey;
}

const ALGORITHM = "Ed25519";
/** "Ed": the algorithm of keys. */
const KEY_TAG = "Ed";
/** "ED": the algorithm of signatures over a hash. */
const HASHED_TAG = "ED";

/**
 * Parses a public key: the file, or its last line.
 *
 * @throws {SyntaxError} If it is none.
 */
export async function parsePublicKey(text: string): Promise<PublicKey> {
  const line = text.trim().split("\n").at(-1) ?? "";
  const bytes = decode(line, "public key");
  if (bytes.length !== 42 || tagOf(bytes) !== KEY_TAG) {
    throw new SyntaxError("Cannot read the public key: it is not in the format of minisign");
  }
  const key = await crypto.subtle.importKey("raw", bytes.slice(10), ALGORITHM, false, ["verify"]);
  return { text: line, number: bytes.slice(2, 10), key };
}

/** Returns the comment that a signature covers; `undefined` if it is not one of this content. */
export async function verify(
  content: Uint8Array,
  signature: string,
  by: PublicKey,
): Promise<string | undefined> {
  const [, first = "", second = "", third = ""] = signature.split("\n");
  const comment = /^trusted comment: (.*)$/.exec(second)?.[1];
  const tagged = decode(first, "signature");
  const made = tagged.slice(10);
  const isOurs = tagged.length === 74 && tagOf(tagged) === HASHED_TAG &&
    tagged.subarray(2, 10).toHex() === by.number.toHex();
  if (!isOurs || comment === undefined) return undefined;
  const words = new TextEncoder().encode(comment);
  const all = new Uint8Array(made.length + words.length);
  all.set(made);
  all.set(words, made.length);
  const isGood = await crypto.subtle.verify(ALGORITHM, by.key, made, hash(content)) &&
    await crypto.subtle.verify(ALGORITHM, by.key, decode(third, "signature"), all);
  return isGood ? comment : undefined;
}

function tagOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes.subarray(0, 2));
}

function hash(content: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(createHash("blake2b512").update(content).digest());
}

function decode(base64: string, what: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.fromBase64(base64);
  } catch (cause) {
    throw new SyntaxError(`Cannot read the ${what}: it is not in the format of minisign`, {
      cause,
    });
  }
}
