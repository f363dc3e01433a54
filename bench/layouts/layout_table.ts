/**
 * The table of `deno task bench:layouts`.
 *
 * @module
 */
import { markdownTable } from "../markdown_table.ts";
import type { Measured, Start } from "./measure.ts";

/** A layout and its figures, or why there are none. */
export interface LayoutRow {
  readonly layout: string;
  readonly found: Measured | { readonly skipped: string };
}

/** Renders the rows: the minimum of each time, the median of the memory. */
export function layoutTable(rows: readonly LayoutRow[]): readonly string[] {
  const head = [
    "layout",
    "files",
    "archive",
    "first byte, cold",
    "warm",
    "CPU, cold",
    "warm",
    "resident",
  ];
  const lines = rows.map(({ layout, found }) =>
    "skipped" in found ? [layout, ...head.slice(1).map(() => "SKIPPED")] : [
      layout,
      megabytes(found.bytes),
      megabytes(found.packedBytes),
      ms(found.cold, "firstByteMs"),
      ms(found.warm, "firstByteMs"),
      ms(found.cold, "cpuMs"),
      ms(found.warm, "cpuMs"),
      `${(median(found.warm.map((start) => start.residentBytes)) / 1024 ** 2).toFixed(0)} MiB`,
    ]
  );
  const reasons = rows.flatMap(({ layout, found }) =>
    "skipped" in found ? ["", `SKIPPED ${layout}: ${found.skipped}`] : []
  );
  return [...markdownTable([head, ...lines], (column) => column === 0), ...reasons];
}

/** The least disturbed start. */
function ms(starts: readonly Start[], name: "firstByteMs" | "cpuMs"): string {
  return `${Math.min(...starts.map((start) => start[name])).toFixed(0)} ms`;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? NaN;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
