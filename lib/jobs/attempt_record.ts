/**
 * Checked reading of the records that outlive a process: a job's spec and an
 * attempt's outcome, as JSON on disk and between runner and agent.
 *
 * Fields are only ever added, so that programs of different releases
 * understand each other's records.
 *
 * @module
 */
import * as v from "valibot";
import { parseProjectName } from "@lib/core/ids.ts";
import { type AttemptOutcome, END_REASONS, type JobSpec, RETRY_CAUSES } from "@lib/jobs/model.ts";

const wholeNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const textRecord = v.record(v.string(), v.string());

const limits = v.object({
  cpu: v.exactOptional(v.number()),
  memoryBytes: v.exactOptional(wholeNumber),
  tasks: v.exactOptional(wholeNumber),
});

const work = v.variant("kind", [
  v.object({ kind: v.literal("command"), argv: v.array(v.string()) }),
  v.object({ kind: v.literal("script"), text: v.string(), shell: v.string() }),
]);

const project = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const name = parseProjectName(dataset.value);
    if (name !== undefined) return name;
    addIssue({ message: "is not a project name" });
    return NEVER;
  }),
);

/** The schema of {@linkcode JobSpec}. */
export const specRecord = v.object({
  project,
  work,
  env: textRecord,
  secretNames: v.array(v.string()),
  workdir: v.exactOptional(v.string()),
  limits,
  timeoutMs: wholeNumber,
  graceMs: wholeNumber,
  priority: wholeNumber,
  concurrencyGroup: v.exactOptional(v.string()),
  cancelInProgress: v.boolean(),
  retries: v.object({
    max: wholeNumber,
    on: v.array(v.picklist(RETRY_CAUSES)),
    delayMs: wholeNumber,
  }),
  output: v.picklist(["merged", "split"]),
  logMaxBytes: wholeNumber,
  labels: textRecord,
});

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

/** Reads a job's spec. @throws {v.ValiError} If it is none. */
export function parseSpec(value: unknown): JobSpec {
  return v.parse(specRecord, value);
}

/** Reads an attempt's outcome. @throws {v.ValiError} If it is none. */
export function parseOutcome(value: unknown): AttemptOutcome {
  return v.parse(outcomeRecord, value);
}
