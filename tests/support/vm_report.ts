/**
 * What the program inside the emulated machine tells the host: one JSON document a line.
 *
 * @module
 */
import * as v from "valibot";

/** One line of the table: a limit, and what everyone had to say about it. */
export interface LimitRow {
  readonly limit: string;
  /** The setting and its place. */
  readonly set: string;
  /** The kernel's figures. */
  readonly kernel: string;
  /** The job's result. */
  readonly result: string;
  readonly ok: boolean;
}

const rowSchema = v.object({
  limit: v.string(),
  set: v.string(),
  kernel: v.string(),
  result: v.string(),
  ok: v.boolean(),
});

const eventSchema = v.variant("event", [
  /** Something goes on; `text` is for people. */
  v.object({ event: v.literal("step"), text: v.string() }),
  v.object({ event: v.literal("begin"), check: v.string() }),
  v.object({
    event: v.literal("check"),
    check: v.string(),
    tookMs: v.number(),
    rows: v.array(rowSchema),
    /** Why the check could not be carried through, or what else is wrong. */
    problem: v.optional(v.string()),
    /** Why there was nothing to check. */
    skipped: v.optional(v.string()),
  }),
  v.object({ event: v.literal("end") }),
]);

/** An event of a run. */
export type VmEvent = v.InferOutput<typeof eventSchema>;
/** The result of a check. */
export type VmCheckEvent = Extract<VmEvent, { readonly event: "check" }>;

/** Tells our lines from whatever else ends up on a serial line. */
const MARK = "@vm ";

/** Writes an event as a line, without its end. */
export function formatEvent(event: VmEvent): string {
  return MARK + JSON.stringify(event);
}

/** Reads a line; `undefined` if it is none of ours. */
export function parseEvent(line: string): VmEvent | undefined {
  const at = line.indexOf(MARK);
  if (at === -1) return undefined;
  try {
    const parsed = v.safeParse(eventSchema, JSON.parse(line.slice(at + MARK.length)));
    return parsed.success ? parsed.output : undefined;
  } catch (error) {
    // A line that was cut off when the machine went down.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Counts of the table's rows. */
export interface VmCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Counts rows; a check without a row is one by itself. One that broke off, or that nothing is known
 * of, counts as failed.
 */
export function countRows(expected: readonly string[], events: readonly VmCheckEvent[]): VmCounts {
  let [passed, failed, skipped] = [0, 0, 0];
  for (const name of expected) {
    const found = events.find(({ check }) => check === name);
    if (found === undefined) {
      failed++;
      continue;
    }
    passed += found.rows.filter(({ ok }) => ok).length;
    failed += found.rows.filter(({ ok }) => !ok).length;
    if (found.problem !== undefined) failed++;
    else if (found.skipped !== undefined) skipped++;
    else if (found.rows.length === 0) passed++;
  }
  return { passed, failed, skipped };
}

const HEADINGS = ["limit", "what was set", "what the kernel did", "what the result says", "ok"];

/** Draws the table of all rows, in Markdown. */
export function drawTable(events: readonly VmCheckEvent[]): string {
  const cells = events.flatMap(({ rows }) => rows).map((row) =>
    [
      row.limit,
      row.set,
      row.kernel,
      row.result,
      row.ok ? "yes" : "NO",
    ].map((cell) => cell.replaceAll("|", "\\|").replaceAll(/\s+/g, " "))
  );
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => (row[column] ?? "").length))
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(HEADINGS), line(widths.map((width) => "-".repeat(width))), ...cells.map(line)]
    .join("\n");
}
