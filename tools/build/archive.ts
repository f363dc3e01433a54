/**
 * Packs a release into an archive with its checksum.
 *
 * @module
 */
import { archiveName } from "./layout.ts";
import { run } from "./run.ts";

/** Options for {@linkcode pack}. */
export interface PackOptions {
  /** The release's directory. */
  readonly releaseDir: string;
  /** Directory of the archive. */
  readonly outDir: string;
  readonly target: string;
  /** Modification time of every file in the archive, in seconds since the epoch. */
  readonly epochSeconds: number;
  readonly signal: AbortSignal;
}

/**
 * Packs the release reproducibly: the same files and time give the same bytes.
 *
 * @returns The archive's path and SHA-256 in hex.
 */
export async function pack(
  options: PackOptions,
): Promise<{ readonly path: string; readonly sha256: string }> {
  const { releaseDir, outDir, target, epochSeconds, signal } = options;
  const path = `${outDir}/${archiveName(target)}`;
  await packTree(releaseDir, path, { epochSeconds, signal });
  const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
  return { path, sha256: new Uint8Array(digest).toHex() };
}

/** Packs a directory into a `.tar.gz`, reproducibly. */
export async function packTree(
  directory: string,
  path: string,
  { epochSeconds, signal }: Pick<PackOptions, "epochSeconds" | "signal">,
): Promise<void> {
  const tar = path.replace(/\.gz$/, "");
  await run([
    "tar",
    "--create",
    "--sort=name",
    `--mtime=@${epochSeconds}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--mode=u+rwX,go+rX,go-w",
    `--file=${tar}`,
    `--directory=${directory}`,
    ".",
  ], { signal });
  await run(["gzip", "--no-name", "--force", tar], { signal });
}

/** Writes `checksums.txt` for every archive in `dir`, in the format of sha256sum(1). */
export async function writeSums(
  dir: string,
  sums: ReadonlyMap<string, string>,
): Promise<void> {
  const lines = [...sums].sort().map(([name, sum]) => `${sum}  ${name}\n`);
  await Deno.writeTextFile(`${dir}/checksums.txt.tmp`, lines.join(""));
  await Deno.rename(`${dir}/checksums.txt.tmp`, `${dir}/checksums.txt`);
}
