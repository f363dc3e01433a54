/**
 * A timeline as Markdown.
 *
 * @module
 */
import { markdownTable } from "../markdown_table.ts";
import type { MedianTimeline } from "./timeline_row.ts";

/** The points of a job as a table, with its circumstances. */
export function renderTimeline(
  { name, points, missing, tracedUs, untracedUs }: MedianTimeline,
): string {
  return [
    `The ${name} with the median time of those traced. Median from the first byte to the exit ` +
    `code: ${shortTime(tracedUs)} with the tracer, ${shortTime(untracedUs)} without.`,
    "",
    ...markdownTable(
      [
        ["#", "where", "what", "µs since the first byte", "µs since the previous"],
        ...points.map(({ who, what, atUs }, index) => [
          String(index + 1),
          who === "systemd" ? "systemd --user" : who,
          what,
          String(atUs),
          index === 0 ? "" : String(atUs - (points[index - 1]?.atUs ?? 0)),
        ]),
      ],
      (column) => column === 1 || column === 2,
    ),
    ...(missing.length === 0 ? [] : ["", "Not found in the trace:", ""]),
    ...missing.map((what) => `- ${what}`),
    "",
  ].join("\n");
}

/** Microseconds, or milliseconds with three digits at least. */
export function shortTime(us: number): string {
  if (us < 1_000) return `${Math.round(us)} µs`;
  return `${us < 100_000 ? Number((us / 1_000).toPrecision(3)) : Math.round(us / 1_000)} ms`;
}
