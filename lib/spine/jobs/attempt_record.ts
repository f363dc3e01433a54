/**
 * Checked reading of an attempt's outcome, as JSON on disk and between runner and agent.
 *
 * Fields are only ever added, so that programs of different releases
 * understand each other's records.
 *
 * @module
 */
import * as v from "valibot";
import { type AttemptOutcome, END_REASONS } from "@lib/spine/jobs/model.ts";

const wholeNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const usage = v.object({
  cpuSeconds: v.exactOptional(v.number()),
  memoryPeakBytes: v.exactOptional(v.number()),
  wallSeconds: v.exactOptional(v.number()),
  cpuThrottledSeconds: v.exactOptional(v.number()),
});

/** The schema of {@linkcode AttemptOutcome}. */
export const outcomeRecord = v.object({
  state: v.picklist(["succeeded", "failed", "cancelled", "timed_out", "lost"]),
  reason: v.picklist(END_REASONS),
  message: v.string(),
  exitCode: v.exactOptional(v.number()),
  signal: v.exactOptional(v.string()),
  usage,
  startedAt: v.exactOptional(v.number()),
  finishedAt: v.number(),
  logBytes: wholeNumber,
});

/** Reads an attempt's outcome. @throws {v.ValiError} If it is none. */
export function parseOutcome(value: unknown): AttemptOutcome {
  return v.parse(outcomeRecord, value);
}
