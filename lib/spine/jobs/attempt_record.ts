import * as v from "valibot";
import { CONTAINMENTS, END_REASONS } from "@lib/spine/jobs/model.ts";

/** The full id of a commit. */
export const commitRecord = v.pipe(v.string(), v.regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/));

/**
 * The schema of an {@linkcode AttemptOutcome} on disk and between runner and agent. Fields are only
 * ever added, so that programs of different releases read each other's records.
 */
export const outcomeRecord = v.object({
  state: v.picklist(["succeeded", "failed", "cancelled", "timed_out", "lost"]),
  reason: v.picklist(END_REASONS),
  message: v.string(),
  exitCode: v.exactOptional(v.number()),
  signal: v.exactOptional(v.string()),
  usage: v.object({
    cpuSeconds: v.exactOptional(v.number()),
    memoryPeakBytes: v.exactOptional(v.number()),
    wallSeconds: v.exactOptional(v.number()),
    cpuThrottledSeconds: v.exactOptional(v.number()),
    containment: v.exactOptional(v.picklist(CONTAINMENTS)),
  }),
  startedAt: v.exactOptional(v.number()),
  finishedAt: v.number(),
  commit: v.exactOptional(commitRecord),
  logBytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  heldUntil: v.exactOptional(v.number()),
  logDroppedBytes: v.exactOptional(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
});
