/**
 * Checksums of a release's files, as sha256sum(1) writes and checks them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Checksums, parseChecksums } from "@lib/features/install/upgrade/release_files.ts";

export { type Checksums, parseChecksums };

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
