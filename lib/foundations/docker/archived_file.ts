/**
 * The first file of a tar archive, as an engine sends the content of a container.
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** The first entry of an archive. */
export type ArchivedFile =
  | { readonly kind: "file"; readonly text: string }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "other" };

const BLOCK_BYTES = 512;
/** Records of archives about the entry that follows. */
const ABOUT_NEXT = ["x", "g", "L", "K"];

/**
 * Reads the first entry.
 *
 * @param maxBytes A longer archive is of no use: it counts as `other`.
 */
export async function readArchivedFile(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<ArchivedFile> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of source) {
    parts.push(part.slice());
    length += part.length;
    if (length > maxBytes) return { kind: "other" };
  }
  const bytes = Buffer.concat(parts);
  for (let at = 0; at + BLOCK_BYTES <= bytes.length;) {
    const header = bytes.subarray(at, at + BLOCK_BYTES);
    const size = Math.max(0, Number.parseInt(textOf(header, 124, 12), 8) || 0);
    const type = textOf(header, 156, 1);
    const content = at + BLOCK_BYTES;
    at = content + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    if (ABOUT_NEXT.includes(type)) continue;
    if (type === "2") return { kind: "link", target: textOf(header, 157, 100) };
    if (type !== "0") break;
    return { kind: "file", text: bytes.subarray(content, content + size).toString() };
  }
  return { kind: "other" };
}

/** Reads a field, which ends at its first NUL. */
function textOf(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString();
}
