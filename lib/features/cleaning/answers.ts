/**
 * The answers of cleaning.
 *
 * @module
 */
import * as v from "valibot";
import { added, count, jobId, time } from "@lib/api/answers.ts";
import { CLEAN_KINDS } from "@lib/api/clean_source.ts";
import { CLEAN_CAUSES } from "@lib/features/cleaning/plan.ts";

/** A chosen thing. */
const itemSchema = v.object({
  kind: v.picklist(CLEAN_KINDS),
  name: v.string(),
  project: v.nullable(v.string()),
  bytes: count,
  last_used_at: time,
  cause: v.picklist(CLEAN_CAUSES),
  outcome: v.picklist(["planned", "removed", "kept", "failed"]),
  detail: v.nullable(v.string()),
});

/** A cleaning, or what one would do. */
export const reportSchema = v.object({
  dry_run: v.boolean(),
  items: v.array(itemSchema),
  skipped: v.array(v.string()),
  free_bytes_before: count,
  free_bytes_after: count,
  remains: added(v.pipe(
    v.object({
      count,
      items: v.array(v.object({ path: v.string(), reason: v.string(), since: time })),
    }),
    v.description(
      "What jobs left and cannot be removed, below the state directory: the oldest first, at most " +
        "1,000; each cleaning tries again",
    ),
  )),
});

/** The ended jobs of a cleaning. */
export const removalsSchema = v.object({
  removals: v.array(v.object({
    id: jobId,
    project: v.string(),
    finished_at: time,
    log_bytes: count,
    cause: v.picklist(["age", "count", "bytes", "free_disk"]),
  })),
});
