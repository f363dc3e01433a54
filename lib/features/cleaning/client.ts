/**
 * Asking the runner to clean.
 *
 * @module
 */
import * as v from "valibot";
import { parseAnswer } from "@lib/api/client/answers.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";

/** Large directories take their time to be removed. */
const EXTRA_MS = 1_800_000;

const itemSchema = v.looseObject({
  kind: v.string(),
  name: v.string(),
  project: v.nullable(v.string()),
  bytes: v.number(),
  cause: v.string(),
  outcome: v.string(),
  detail: v.nullable(v.string()),
});

const cleanAnswerSchema = v.looseObject({
  dry_run: v.boolean(),
  items: v.array(itemSchema),
  skipped: v.array(v.string()),
  free_bytes_before: v.number(),
  free_bytes_after: v.number(),
});

const removalsAnswerSchema = v.looseObject({
  removals: v.array(v.looseObject({
    id: v.string(),
    project: v.string(),
    finished_at: v.string(),
    log_bytes: v.number(),
    cause: v.string(),
  })),
});

/** What was cleaned. */
export type CleanAnswer = v.InferOutput<typeof cleanAnswerSchema>;
/** One thing that was chosen. */
export type CleanItemAnswer = v.InferOutput<typeof itemSchema>;
/** The ended jobs that retention removes. */
export type RemovalsAnswer = v.InferOutput<typeof removalsAnswerSchema>;

/** Cleans, or shows what would be removed. @throws As {@linkcode RunnerTransport.json} does. */
export async function requestClean(
  transport: RunnerTransport,
  { dryRun }: { readonly dryRun: boolean },
  signal: AbortSignal,
): Promise<CleanAnswer> {
  const path = `/v1/housekeeping${dryRun ? "?dry_run=1" : ""}`;
  const answer = await transport.json({ method: "POST", path, signal, extraMs: EXTRA_MS });
  return parseAnswer(cleanAnswerSchema, answer, "the cleaning");
}

/** Shows the ended jobs that retention would remove; with `sweep`, removes them. */
export async function requestRetention(
  transport: RunnerTransport,
  { sweep }: { readonly sweep: boolean },
  signal: AbortSignal,
): Promise<RemovalsAnswer> {
  const answer = await transport.json({
    method: sweep ? "POST" : "GET",
    path: sweep ? "/v1/retention/sweep" : "/v1/retention",
    signal,
    extraMs: EXTRA_MS,
  });
  return parseAnswer(removalsAnswerSchema, answer, "the retention");
}
