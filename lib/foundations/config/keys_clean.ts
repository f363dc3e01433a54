/**
 * Configuration keys of what is removed, and when.
 *
 * @module
 */
import { key } from "@lib/foundations/config/key.ts";
import { DAY, MIB, MINUTE, SECOND, TIB } from "@lib/foundations/config/key_ranges.ts";
import { duration, integer, size, TIMER_MAX_MS } from "@lib/core/value_types.ts";

/** Housekeeping and retention. */
export const CLEAN_KEYS = {
  cleanImagesAge: key(
    "clean.images_unused_for",
    duration({ min: MINUTE, max: 3_650 * DAY }),
    "Images that jobs brought here and no job used for so long are removed by `cicd-runner clean`.",
    "14d",
  ),
  cleanImagesMax: key(
    "clean.images_max_size",
    size({ min: MIB, max: 1_024 * TIB }),
    "Disk space of the images that jobs brought here; those not used for longest go first.",
    "20G",
  ),
  cleanMirrorsAge: key(
    "clean.mirrors_unused_for",
    duration({ min: MINUTE, max: 3_650 * DAY }),
    "Copies of repositories that no job used for so long are removed.",
    "30d",
  ),

  retentionMaxAge: key(
    "retention.max_age",
    duration({ min: MINUTE, max: 3_650 * DAY }),
    "Finished jobs older than this are removed with their logs.",
    "30d",
  ),
  retentionMaxJobs: key(
    "retention.max_jobs",
    integer({ min: 1, max: 10_000_000 }),
    "Finished jobs that are kept; the oldest go first.",
    5_000,
  ),
  retentionMaxBytes: key(
    "retention.max_bytes",
    size({ min: MIB, max: 1_024 * TIB }),
    "Disk space that finished jobs may take; the oldest go first.",
    "10G",
  ),
  retentionMinFreeDisk: key(
    "retention.min_free_disk",
    size({ min: 0, max: 1_024 * TIB }),
    "With less free disk space than this, new jobs are answered with 507 and old ones removed.",
    "512M",
  ),
  retentionInterval: key(
    "retention.interval",
    duration({ min: SECOND, max: TIMER_MAX_MS }),
    "Time between two cleanings.",
    "1h",
  ),
} as const;
