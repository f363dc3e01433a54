/**
 * The caches that are carried from job to job.
 *
 * @module
 */
import type { PlannedRemoval } from "@lib/features/cleaning/plan_housekeeping.ts";
import { type CleanSource, REMOVED } from "@lib/features/cleaning/source.ts";

/** A cache on disk. */
export interface StoredCache {
  /** Names it to {@linkcode StoredCaches.remove}. */
  readonly path: string;
  /** As jobs name it. */
  readonly name: string;
  readonly project: string;
  readonly bytes: number;
  readonly lastUsedAt: number;
}

/** The caches of all projects; `lib/caches/` keeps them. */
export interface StoredCaches {
  list(signal: AbortSignal): Promise<readonly StoredCache[]>;
  /** @returns `false` if a job is reading or writing it. */
  remove(path: string, signal: AbortSignal): Promise<boolean>;
}

/** Finds caches. */
export function cacheSource(caches: StoredCaches): CleanSource {
  return {
    kinds: ["cache"],
    async find(signal) {
      const things = (await caches.list(signal)).map(
        ({ path, name, project, bytes, lastUsedAt }) => ({
          kind: "cache" as const,
          key: path,
          name: `${project}/${name}`,
          project,
          bytes,
          lastUsedAt,
          inUse: false,
        }),
      );
      return { things, skipped: [] };
    },
    async remove({ key }: PlannedRemoval, signal) {
      return await caches.remove(key, signal)
        ? REMOVED
        : { kind: "kept", why: "a job is using it" };
    },
  };
}
