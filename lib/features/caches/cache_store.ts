/**
 * The caches of projects on disk.
 *
 * One archive per entry, `<state>/projects/<project>/caches/<name>/<key>.tar.zst`, or `.tar` where
 * there is no zstd. The time of its last change is that of its last use. Archives are put in place
 * whole and never changed, so that nothing needs a lock: a job that restores one holds it by a name
 * of its own while it is removed here.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import { directoriesIn, filesIn, statIfThere } from "@lib/foundations/files/records.ts";
import { cacheNameProblem } from "@lib/spine/spec/workspace_paths.ts";

/** An entry of a project's caches. */
export interface CacheEntry {
  /** Of its archive. */
  readonly path: string;
  readonly project: ProjectName;
  /** As jobs name it. */
  readonly name: string;
  /** In hex. */
  readonly key: string;
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly lastUsedAt: number;
}

/** How an archive is packed. */
export type Packing = "zstd" | "none";

const SUFFIX = { zstd: ".tar.zst", none: ".tar" } as const satisfies Record<Packing, string>;

/** The directory of a project's caches. */
export function cachesPath(stateDir: string, project: ProjectName): string {
  return `${stateDir}/projects/${project}/caches`;
}

/** Where an entry lies. */
export function entryPath(
  directory: string,
  { name, key, packing }: {
    readonly name: string;
    readonly key: string;
    readonly packing: Packing;
  },
): string {
  return `${directory}/${name}/${key}${SUFFIX[packing]}`;
}

/** How the archive of an entry is packed. */
export function packingOf(path: string): Packing {
  return path.endsWith(SUFFIX.zstd) ? "zstd" : "none";
}

/** The entries of a project, in no order. */
export async function listCaches(
  stateDir: string,
  project: ProjectName,
): Promise<readonly CacheEntry[]> {
  const directory = cachesPath(stateDir, project);
  const names = directoriesIn(directory).filter((name) => cacheNameProblem(name) === undefined);
  const lists = await Promise.all(names.map((name) => listEntries(directory, { project, name })));
  return lists.flat();
}

/** The entries of one cache of a project, in no order. */
export async function listEntries(
  directory: string,
  { project, name }: { readonly project: ProjectName; readonly name: string },
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

/** Removes an entry; one that is not there is no error. */
export async function removeCache({ path }: Pick<CacheEntry, "path">): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Bounds of a project's caches, and the time they are held against. */
export interface EvictionLimits {
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Chooses what goes: what was not used for too long, then what was not used for longest. */
export function planCacheEviction<E extends Pick<CacheEntry, "bytes" | "lastUsedAt">>(
  entries: readonly E[],
  { maxBytes, maxAgeMs, now }: EvictionLimits,
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
