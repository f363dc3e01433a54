/**
 * Keys of minisign for tests.
 *
 * @module
 */

/** Writes a secret key to a file, as `minisign -G -W` does; returns its public key. */
export async function makeSigningKey(path: string): Promise<string> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError("not a pair");
  const seed = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)).slice(16);
  const half = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const number = crypto.getRandomValues(new Uint8Array(8));
  const empty = (length: number) => new Uint8Array(length);
  const bytes = (...parts: readonly Uint8Array[]) => Uint8Array.from(parts.flatMap((p) => [...p]));
  const algorithm = new TextEncoder().encode("Ed");
  const checksum = new TextEncoder().encode("B2");
  const secret = bytes(algorithm, empty(2), checksum, empty(48), number, seed, half, empty(32));
  await Deno.writeTextFile(path, `untrusted comment: a test's\n${secret.toBase64()}\n`);
  return bytes(algorithm, number, half).toBase64();
}
