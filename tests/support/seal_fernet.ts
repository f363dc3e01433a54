/**
 * Makes Fernet tokens as the format says, apart from the code that opens them.
 *
 * @module
 */
import { createCipheriv, createHmac, randomBytes } from "node:crypto";

/** Seals bytes or text with the 32 bytes of a key. */
export function sealFernet(key: Uint8Array, content: Uint8Array | string): string {
  const iv = randomBytes(16);
  const cipher = createCipheriv("aes-128-cbc", key.subarray(16), iv);
  const plain = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const sealed = [...cipher.update(plain), ...cipher.final()];
  const signed = new Uint8Array([0x80, 0, 0, 0, 0, 1, 2, 3, 4, ...iv, ...sealed]);
  const mac = createHmac("sha256", key.subarray(0, 16)).update(signed).digest();
  return new Uint8Array([...signed, ...mac]).toBase64({ alphabet: "base64url" });
}
