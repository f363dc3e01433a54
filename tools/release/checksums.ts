/**
 * Checksums of a release's files, as sha256sum(1) writes and checks them.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** SHA-256 in hex, by the name of the file. */
export type Checksums = ReadonlyMap<string, string>;

/** Returns the SHA-256 of a file in hex, without holding the file in memory. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  for await (const chunk of file.readable) hash.update(chunk);
  return hash.digest("hex");
}

/** Formats checksums, sorted by name: the same files give the same bytes. */
export function formatChecksums(sums: Checksums): string {
  const names = [...sums.keys()].sort();
  return names.map((name) => `${sums.get(name)}  ${name}\n`).join("");
}

/**
 * Parses what {@linkcode formatChecksums} or sha256sum(1) wrote; lines that begin with "#" are
 * comments.
 *
 * @throws {SyntaxError} If a line is no checksum.
 */
export function parseChecksums(text: string): Checksums {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const [, sum, name] = /^([0-9a-f]{64}) [ *](\S.*)$/.exec(line) ?? [];
    if (sum === undefined || name === undefined) {
      throw new SyntaxError(`Cannot read the checksum "${line}": it is not a line of sha256sum`);
    }
    return [name, sum];
  }));
}
