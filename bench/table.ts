/**
 * Results as Markdown that also reads well in a terminal.
 *
 * @module
 */
import type { HostBanner } from "./host.ts";
import { type Comparison, ratioOf, reachesTarget, type Series, summarize } from "./report.ts";

/** A whole run. */
export interface RunReport {
  readonly host: HostBanner;
  readonly quick: boolean;
  readonly rows: readonly Comparison[];
  /** Rows that could not be measured, with the reason. */
  readonly skipped: readonly string[];
}

/** The run as Markdown. */
export function renderReport({ host, quick, rows, skipped }: RunReport): string {
  return [
    ...Object.entries(host).map(([name, value]) => `- ${name.replaceAll("_", " ")}: ${value}`),
    ...(quick ? ["- quick run: few samples, not for publication"] : []),
    "",
    ...table([
      ["what", "who", "median", "p95", "min", "n", "ratio", "target"],
      ...rows.flatMap(comparisonLines),
    ]),
    "",
    "`ratio`: how many times better cicd-toolkit's median is; below 1 the peer is better.",
    ...notes(rows),
    ...skipped.map((text) => `- left out: ${text}`),
    "",
  ].join("\n");
}

function comparisonLines(row: Comparison): readonly string[][] {
  return [line(row, row.ours), ...row.peers.map((peer) => line(row, peer))];
}

function line(row: Comparison, series: Series): string[] {
  const { n, median, p95, min } = summarize(series.samples);
  const isOurs = series === row.ours;
  const ratio = isOurs ? undefined : ratioOf(row, series);
  return [
    isOurs ? `**${row.name}** (${row.unit})` : "",
    isOurs ? `**${series.name}**` : series.name,
    ...[median, p95, min].map(number),
    String(n),
    ratio === undefined ? "" : `${number(ratio)}×`,
    isOurs ? targetText(row) : "",
  ];
}

function targetText(row: Comparison): string {
  const reached = reachesTarget(row);
  if (reached === undefined) return "";
  const sign = row.better === "lower" ? "≤" : "≥";
  return `${sign} ${number(row.target ?? NaN)}: ${reached ? "reached" : "**missed**"}`;
}

function notes(rows: readonly Comparison[]): readonly string[] {
  return rows.flatMap(({ name, notes }) => notes.map((note) => `- ${name}: ${note}`));
}

/** Rounds to three digits, the precision of such a measurement. */
function number(value: number): string {
  if (Math.abs(value) >= 1000) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

function table(lines: readonly (readonly string[])[]): readonly string[] {
  const [head = []] = lines;
  const widths = head.map((_, column) =>
    Math.max(3, ...lines.map((cells) => [...cells[column] ?? ""].length))
  );
  const render = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => pad(cell, widths[at] ?? 0, at)).join(" | ")} |`;
  const rule = widths.map((width, at) =>
    isText(at) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  return [render(head), `| ${rule.join(" | ")} |`, ...lines.slice(1).map(render)];
}

function pad(cell: string, width: number, column: number): string {
  const fill = " ".repeat(Math.max(0, width - [...cell].length));
  return isText(column) ? cell + fill : fill + cell;
}

/** The first two columns and the last one contain text. */
function isText(column: number): boolean {
  return column < 2 || column === 7;
}
