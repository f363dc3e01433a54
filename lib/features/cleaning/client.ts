/**
 * Requests to clean.
 *
 * Each function throws what {@linkcode RunnerTransport.json} throws.
 *
 * @module
 */
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";
import { type itemSchema, removalsSchema, reportSchema } from "@lib/features/cleaning/answers.ts";

/** Large directories take their time to be removed. */
const EXTRA_MS = 1_800_000;

/** A cleaning, or what one would do. */
export type CleanAnswer = ReadingOf<typeof reportSchema>;
/** One thing that was chosen. */
export type CleanItemAnswer = ReadingOf<typeof itemSchema>;
/** The ended jobs that retention removes. */
export type RemovalsAnswer = ReadingOf<typeof removalsSchema>;

const readReport = reading(reportSchema, "the cleaning");
const readRemovals = reading(removalsSchema, "the retention");

/** Cleans, or shows what would be removed. */
export function requestClean(
  runner: RunnerTransport,
  { dryRun }: { readonly dryRun: boolean },
  signal: AbortSignal,
): Promise<CleanAnswer> {
  const path = `/v1/housekeeping${dryRun ? "?dry_run=1" : ""}`;
  return runner.ask(readReport, { method: "POST", path, signal, extraMs: EXTRA_MS });
}

/** Shows the ended jobs that retention would remove; with `sweep`, removes them. */
export function requestRetention(
  runner: RunnerTransport,
  { sweep }: { readonly sweep: boolean },
  signal: AbortSignal,
): Promise<RemovalsAnswer> {
  return runner.ask(readRemovals, {
    method: sweep ? "POST" : "GET",
    path: sweep ? "/v1/retention/sweep" : "/v1/retention",
    signal,
    extraMs: EXTRA_MS,
  });
}
