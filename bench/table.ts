/**
 * Results as Markdown that also reads well in a terminal.
 *
 * @module
 */
import type { HostBanner } from "./host.ts";
import { markdownTable } from "./markdown_table.ts";
import { type Comparison, ratioOf, reachesTarget, type Series, summarize } from "./report.ts";
import type { RowName } from "./rows.ts";
import { renderTimeline } from "./timeline/render.ts";
import type { MedianTimeline } from "./timeline/timeline_row.ts";

/** A whole run. */
export interface RunReport {
  readonly host: HostBanner;
  readonly quick: boolean;
  /** The benchmarks that were asked for. */
  readonly names: readonly RowName[];
  readonly rows: readonly Comparison[];
  /** The same rows of an earlier build, measured in turns with this one. */
  readonly before?: readonly Comparison[];
  readonly timelines: readonly MedianTimeline[];
  /** Rows without a result, with the reason. */
  readonly skipped: readonly string[];
  /** How many of them should have one. */
  readonly failed: number;
  /** How long each benchmark took, both builds together. */
  readonly seconds: Readonly<Record<string, number>>;
}

/** The run as Markdown. */
export function renderReport(report: RunReport): string {
  const { timelines } = report;
  return [renderResults(report), ...timelines.map(renderTimeline)].join("\n");
}

/** The circumstances, the table and the notes. */
export function renderResults(report: RunReport): string {
  const { host, quick, rows, before, skipped, seconds } = report;
  const took = Object.entries(seconds).map(([name, time]) => `${name} ${time} s`).join(", ");
  return [
    ...Object.entries(host).map(([name, value]) => `- ${name.replaceAll("_", " ")}: ${value}`),
    ...(quick ? ["- quick run: few samples, not for publication"] : []),
    ...(took === "" ? [] : [`- time taken: ${took}`]),
    "",
    ...(before === undefined ? plainTable(rows) : beforeAndNow(rows, before)),
    "",
    "`ratio`: how many times better cicd-toolkit's median is; below 1 the peer is better.",
    ...(before === undefined ? [] : [
      "Peers were measured beside either build; how far their two medians differ is the noise.",
    ]),
    "",
    ...rows.flatMap(({ name, notes }) => notes.map((note) => `- ${name}: ${note}`)),
    ...skipped.map((text) => `- left out: ${text}`),
    "",
  ].join("\n");
}

function plainTable(rows: readonly Comparison[]): readonly string[] {
  return markdownTable([
    ["what", "who", "median", "p95", "min", "n", "ratio", "target"],
    ...rows.flatMap((row) =>
      seriesOf(row).map((series) => {
        const { n, median, p95, min } = summarize(series.samples);
        return [
          ...labels(row, series),
          ...[median, p95, min].map(number),
          String(n),
          ratioText(row, series),
          series === row.ours ? targetText(row) : "",
        ];
      })
    ),
  ], isTextOf(8));
}

/** Medians of both builds, with their ratios to the peers. */
function beforeAndNow(
  rows: readonly Comparison[],
  before: readonly Comparison[],
): readonly string[] {
  return markdownTable([
    ["what", "who", "before", "now", "p95 now", "n", "ratio before", "ratio now", "target"],
    ...rows.flatMap((row) => {
      const earlier = before.find(({ name }) => name === row.name);
      return seriesOf(row).map((series, at) => {
        const old = earlier === undefined ? undefined : seriesOf(earlier)[at];
        const { n, median, p95 } = summarize(series.samples);
        return [
          ...labels(row, series),
          old === undefined ? "–" : number(summarize(old.samples).median),
          ...[median, p95].map(number),
          String(n),
          earlier === undefined || old === undefined ? "" : ratioText(earlier, old),
          ratioText(row, series),
          series === row.ours ? targetText(row) : "",
        ];
      });
    }),
  ], isTextOf(9));
}

function seriesOf(row: Comparison): readonly Series[] {
  return [row.ours, ...row.peers];
}

function labels(row: Comparison, series: Series): readonly string[] {
  return series === row.ours
    ? [`**${row.name}** (${row.unit})`, `**${series.name}**`]
    : ["", series.name];
}

function ratioText(row: Comparison, series: Series): string {
  const ratio = series === row.ours ? undefined : ratioOf(row, series);
  return ratio === undefined ? "" : `${number(ratio)}×`;
}

function targetText(row: Comparison): string {
  const reached = reachesTarget(row);
  if (reached === undefined) return "";
  const sign = row.better === "lower" ? "≤" : "≥";
  return `${sign} ${number(row.target ?? NaN)}: ${reached ? "reached" : "**missed**"}`;
}

/** Rounds to three digits, the precision of such a measurement. */
function number(value: number): string {
  if (Math.abs(value) >= 1000) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

/** The first two columns and the last one contain text. */
function isTextOf(columns: number): (column: number) => boolean {
  return (column) => column < 2 || column === columns - 1;
}
