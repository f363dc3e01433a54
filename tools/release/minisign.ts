/**
 * Signatures in the format of minisign(1): Ed25519 over the BLAKE2b-512 hash of a file.
 *
 * Format: <https://jedisct1.github.io/minisign/#signature-format>. A key is 2 bytes of algorithm and
 * 8 of key number before the key itself; a secret key is followed by its public half.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { parsePublicKey, type PublicKey, verify } from "@lib/features/install/upgrade/signature.ts";

export { parsePublicKey, verify };

/** A key pair that can sign. */
export interface SigningKey {
  readonly number: Uint8Array<ArrayBuffer>;
  readonly secret: CryptoKey;
  readonly public: PublicKey;
}

const ALGORITHM = "Ed25519";
/** "Ed": the algorithm of keys. */
const KEY_TAG = new Uint8Array([0x45, 0x64]);
/** "ED": the algorithm of signatures over a hash. */
const HASHED_TAG = new Uint8Array([0x45, 0x44]);
/** A secret key: algorithms, salt, limits, key number, seed, public half, checksum. */
const SECRET_KEY_BYTES = 158;
/** The bytes of PKCS #8 before the seed of an Ed25519 key. */
const PKCS8_PREFIX = Uint8Array.fromHex("302e020100300506032b657004220420");

/**
 * Parses a secret key file, as `minisign -G -W` makes it.
 *
 * @throws {SyntaxError} If it is none, or protected by a password.
 */
export async function parseSigningKey(text: string): Promise<SigningKey> {
  const bytes = decode(text.trim().split("\n").at(-1) ?? "", "secret key");
  if (bytes.length !== SECRET_KEY_BYTES || !isEqual(bytes.subarray(0, 2), KEY_TAG)) {
    throw new SyntaxError("Cannot read the secret key: it is not in the format of minisign");
  }
  if (bytes[2] !== 0 || bytes[3] !== 0) {
    throw new SyntaxError(
      "Cannot read the secret key: it is protected by a password; remove that from a copy with " +
        "minisign -C -W, or sign checksums.txt with minisign -S",
    );
  }
  const number = bytes.slice(54, 62);
  const pkcs8 = concat(PKCS8_PREFIX, bytes.subarray(62, 94));
  const secret = await crypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, false, ["sign"]);
  const half = await parsePublicKey(concat(KEY_TAG, number, bytes.subarray(94, 126)).toBase64());
  return { number, secret, public: half };
}

/**
 * Returns the text of `FILE.minisig`.
 *
 * @param comment One line, which the signature covers.
 * @throws {Error} If the halves of the key do not belong together.
 */
export async function sign(
  content: Uint8Array,
  { key, comment }: { readonly key: SigningKey; readonly comment: string },
): Promise<string> {
  const made = new Uint8Array(await crypto.subtle.sign(ALGORITHM, key.secret, hash(content)));
  const all = concat(made, new TextEncoder().encode(comment));
  const global = new Uint8Array(await crypto.subtle.sign(ALGORITHM, key.secret, all));
  const text = [
    "untrusted comment: signature of a release of cicd-toolkit",
    concat(HASHED_TAG, key.number, made).toBase64(),
    `trusted comment: ${comment}`,
    global.toBase64(),
    "",
  ].join("\n");
  if (await verify(content, text, key.public) !== comment) {
    throw new Error("Cannot sign: the public half of the key does not belong to the secret one");
  }
  return text;
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

function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
