/**
 * Configuration keys of the history.
 *
 * @module
 */
import { duration, integer, size, TIMER_MAX_MS } from "@lib/core/value_types.ts";
import { section } from "@lib/foundations/config/config.ts";
import { key } from "@lib/foundations/config/key.ts";
import { age, diskSpace, SECOND } from "@lib/foundations/config/ranges.ts";

/** Limits of the history. */
export const RETENTION = section({
  keys: {
    maxAgeMs: key(
      "retention.max_age",
      duration(age),
      "Finished jobs older than this are removed with their logs.",
      "30d",
    ),
    maxJobs: key(
      "retention.max_jobs",
      integer({ min: 1, max: 10_000_000 }),
      "Finished jobs that are kept; the oldest go first.",
      5_000,
    ),
    maxBytes: key(
      "retention.max_bytes",
      size(diskSpace),
      "Disk space that finished jobs may take; the oldest go first.",
      "10G",
    ),
    intervalMs: key(
      "retention.interval",
      duration({ min: SECOND, max: TIMER_MAX_MS }),
      "Time between two cleanings.",
      "1h",
    ),
  },
});
