/**
 * Jobs as a table.
 *
 * @module
 */
import type { JobAnswer } from "@lib/api/client/jobs.ts";
import {
  ago,
  outcome,
  type Painter,
  runTime,
  stateColour,
  workOf,
} from "@lib/api/client/format.ts";
import { type Column, renderTable } from "@lib/foundations/cli/table.ts";

/** Options for {@linkcode renderJobs}. */
export interface JobTableOptions {
  readonly now: number;
  readonly paint: Painter;
  /** Columns of the terminal; absent: nothing is cut, and ids are whole. */
  readonly width?: number | undefined;
}

const COLUMNS: readonly Column[] = [
  { title: "ID" },
  { title: "PROJECT", flexible: true },
  { title: "STATE" },
  { title: "WHY" },
  { title: "AGE" },
  { title: "TIME", align: "right" },
  { title: "RUNS", flexible: true },
];

/** The first 13 characters of an id are the millisecond in which it was made. */
const SHORT_ID = 13;

/** Renders jobs, a line each, after the titles. */
export function renderJobs(
  jobs: readonly JobAnswer[],
  { now, paint, width }: JobTableOptions,
): Promise<readonly string[]> {
  const idLength = width === undefined ? 36 : shortIdLength(jobs.map(({ id }) => id));
  return renderTable({
    columns: COLUMNS,
    rows: jobs.map((job) => [
      job.id.slice(0, idLength),
      job.project,
      { text: job.state, paint: (text) => paint(stateColour(job.state), text) },
      outcome(job),
      ago(job.created_at, now),
      runTime(job, now),
      workOf(job),
    ]),
    width,
    paintTitle: (text) => paint("faint", text),
  });
}

/** Finds how much of the ids tells them apart. */
export function shortIdLength(ids: readonly string[]): number {
  for (const length of [SHORT_ID, 18, 23]) {
    if (new Set(ids.map((id) => id.slice(0, length))).size === ids.length) return length;
  }
  return 36;
}
