/**
 * The caches of projects on disk.
 *
 * One archive per entry, `<state>/projects/<project>/caches/<name>/<key>.tar.zst`, or `.tar` where
 * there is no zstd. Its modification time is the time of its last use. Archives are put in place
 * whole and never changed, so nothing needs a lock: a job that restores one holds it by a second name
 * while it is removed here.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import { directoriesIn, filesIn, statIfThere } from "@lib/foundations/files/records.ts";
import type { CacheLimits } from "@lib/features/caches/keys.ts";
import { cacheNameProblem } from "@lib/spine/spec/workspace_paths.ts";

/** An entry of a project's caches. */
export interface CacheEntry {
  /** Path of its archive. */
  readonly path: string;
  readonly project: ProjectName;
  readonly name: string;
  /** In hex. */
  readonly key: string;
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly lastUsedAt: number;
}

/** The compression of an archive. */
export type Packing = "zstd" | "none";

const SUFFIX = { zstd: ".tar.zst", none: ".tar" } as const satisfies Record<Packing, string>;

/** Returns the directory of a project's caches. */
export function cachesPath(stateDir: string, project: ProjectName): string {
  return `${stateDir}/projects/${project}/caches`;
}

/** Returns the path of an entry. */
export function entryPath(
  directory: string,
  { name, key, packing }: Pick<CacheEntry, "name" | "key"> & { readonly packing: Packing },
): string {
  return `${directory}/${name}/${key}${SUFFIX[packing]}`;
}

/** Returns the compression of an entry's archive. */
export function packingOf(path: string): Packing {
  return path.endsWith(SUFFIX.zstd) ? "zstd" : "none";
}

/** Lists the entries of a project, in no order. */
export async function listCaches(
  stateDir: string,
  project: ProjectName,
): Promise<readonly CacheEntry[]> {
  const directory = cachesPath(stateDir, project);
  const names = directoriesIn(directory).filter((name) => cacheNameProblem(name) === undefined);
  const lists = await Promise.all(names.map((name) => listEntries(directory, { project, name })));
  return lists.flat();
}

/** Lists the entries of one cache, in no order. */
export async function listEntries(
  directory: string,
  { project, name }: Pick<CacheEntry, "project" | "name">,
): Promise<readonly CacheEntry[]> {
  const entries: CacheEntry[] = [];
  for (const file of filesIn(`${directory}/${name}`)) {
    const key = /^([0-9a-f]{64})\.tar(?:\.zst)?$/.exec(file)?.[1];
    if (key === undefined) continue;
    const path = `${directory}/${name}/${file}`;
    const stat = await statIfThere(path);
    if (stat?.isFile !== true) continue;
    const lastUsedAt = stat.mtime?.getTime() ?? 0;
    entries.push({ path, project, name, key, bytes: stat.size, lastUsedAt });
  }
  return entries;
}

/** Removes an entry; a missing one is no error. */
export async function removeCache({ path }: Pick<CacheEntry, "path">): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Chooses the entries to remove: the old ones, then the least recently used. */
export function planCacheEviction<E extends Pick<CacheEntry, "bytes" | "lastUsedAt">>(
  entries: readonly E[],
  { maxBytes, maxAgeMs, now }: CacheLimits & { readonly now: number },
): readonly E[] {
  const oldestFirst = entries.toSorted((a, b) => a.lastUsedAt - b.lastUsedAt);
  let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  const gone: E[] = [];
  for (const entry of oldestFirst) {
    if (now - entry.lastUsedAt <= maxAgeMs && bytes <= maxBytes) break;
    gone.push(entry);
    bytes -= entry.bytes;
  }
  return gone;
}
