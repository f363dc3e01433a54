/**
 * Asking the runner to clean up.
 *
 * @module
 */
import * as v from "valibot";
import { parseAnswer } from "@lib/api/client/answers.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";

/** Large folders take their time to be removed. */
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

/** What was cleaned. */
export type CleanAnswer = v.InferOutput<typeof cleanAnswerSchema>;
/** One thing that was chosen. */
export type CleanItemAnswer = v.InferOutput<typeof itemSchema>;

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
