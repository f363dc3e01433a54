/**
 * The key of a cache: what its content was made from.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { openDirectory } from "@lib/foundations/files/directory.ts";
import { compileGlobs } from "@lib/foundations/files/glob.ts";
import { walk } from "@lib/foundations/files/walk.ts";
import type { CacheSpec } from "@lib/spine/spec/job_spec.ts";

/** A key, and what it was made from. */
export interface CacheKey {
  /** SHA-256 in hex. */
  readonly key: string;
  /** Key files that were found. */
  readonly files: number;
}

/** Changes when archives of before can no longer be used. */
const VERSION = 1;

/**
 * Makes the key out of the cache's name and paths and the key files: their paths below the
 * workspace and what is in them. Links are not followed and do not count.
 */
export async function cacheKey(
  { name, paths, keyFiles }: CacheSpec,
  workspace: string,
  signal: AbortSignal,
): Promise<CacheKey> {
  const hash = createHash("sha256").update(JSON.stringify([VERSION, name, paths.toSorted()]));
  let files = 0;
  if (keyFiles.length > 0) {
    using top = openDirectory(workspace);
    for await (const found of walk(top, compileGlobs(keyFiles), signal)) {
      if (found.kind !== "file") continue;
      using file = found.directory.file(found.name);
      if (file === undefined) continue;
      hash.update(JSON.stringify([found.path, await file.sha256(signal)]));
      files++;
    }
  }
  return { key: hash.digest("hex"), files };
}
