/**
 * Which entries of a project's caches are removed. Decides only.
 *
 * @module
 */
import type { CacheEntry } from "@lib/features/caches/cache_store.ts";

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
