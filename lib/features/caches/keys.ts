/**
 * Configuration keys of caches.
 *
 * @module
 */
import { duration, size } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key, type ValuesOf } from "@lib/foundations/config/key.ts";
import { age, diskSpace } from "@lib/foundations/config/ranges.ts";

/** Bounds of a project's caches. */
export const CACHES = section({
  keys: {
    maxBytes: key(
      "caches.max_size",
      size(diskSpace),
      "Disk space of a project's caches; the least recently used are removed first.",
      "5G",
    ),
    maxAgeMs: key(
      "caches.max_age",
      duration(age),
      "Caches that were not used for this long are removed.",
      "30d",
    ),
  },
});

/** The values of {@linkcode CACHES}. */
export type CacheLimits = ValuesOf<typeof CACHES.keys>;
