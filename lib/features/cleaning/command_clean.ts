/**
 * `clean`.
 *
 * @module
 */
import { formatSize } from "@lib/core/size.ts";
import type { CleanAnswer, CleanItemAnswer } from "@lib/features/cleaning/client.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { oneLine, type Painter } from "@lib/api/client/format.ts";
import type { InvocationOf } from "../../../cmd/runner/commands/grammar.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

/** Cleans up; exits with 1 if something could not be removed. */
export async function clean(
  { dryRun }: InvocationOf<"clean">,
  context: CliContext,
): Promise<number> {
  const { out, flags, paint, signal } = context;
  using client = await context.connect();
  const answer = await client.clean({ dryRun }, signal);
  const failed = answer.items.filter(({ outcome }) => outcome === "failed");
  if (flags.json) {
    await out.json(answer);
  } else {
    for (const line of renderCleaning(answer, paint)) await out.line(line);
    for (const { kind, name, detail } of failed) {
      out.note(`Cannot remove ${kind} ${oneLine(name)}: ${oneLine(detail ?? "")}`);
    }
  }
  for (const sentence of flags.json ? [] : answer.skipped) out.note(oneLine(sentence));
  return failed.length > 0 ? 1 : 0;
}

/** Renders a cleaning: a table of kinds and causes, and a line about the whole. */
export function renderCleaning(answer: CleanAnswer, paint: Painter): readonly string[] {
  const chosen = answer.items.filter(({ outcome }) =>
    outcome === "removed" || outcome === "planned"
  );
  const groups = [...Map.groupBy(chosen, ({ kind, cause }) => `${kind}\n${cause}`).values()];
  const table = groups.length === 0 ? [] : renderTable({
    columns: [
      { title: "WHAT" },
      { title: "COUNT", align: "right" },
      { title: "SIZE", align: "right" },
      { title: "WHY" },
    ],
    rows: groups.map((items) => {
      const [first] = items;
      return [
        oneLine(first?.kind ?? ""),
        String(items.length),
        formatSize(bytesOf(items)),
        reasonOf(first?.cause ?? ""),
      ];
    }),
    paintTitle: (text) => paint("faint", text),
  });
  return [...table, summary(answer, chosen)];
}

function summary(
  { dry_run, items, free_bytes_after }: CleanAnswer,
  chosen: readonly CleanItemAnswer[],
): string {
  const free = `${formatSize(free_bytes_after)} are free`;
  if (items.length === 0) return `Nothing to remove; ${free}`;
  if (chosen.length === 0) return `Nothing was removed; ${free}`;
  const things = chosen.length === 1 ? "1 thing" : `${chosen.length} things`;
  const what = `${things} of ${formatSize(bytesOf(chosen))}`;
  return dry_run
    ? `Would remove ${what}; nothing was changed, ${free}`
    : `Removed ${what}; ${free}`;
}

function bytesOf(items: readonly CleanItemAnswer[]): number {
  return items.reduce((sum, { bytes }) => sum + bytes, 0);
}

function reasonOf(cause: string): string {
  switch (cause) {
    case "age":
      return "not used for long";
    case "count":
      return "more than are kept";
    case "bytes":
      return "larger than is kept";
    case "free_disk":
      return "the disk is too full";
    case "left_behind":
      return "left behind";
    default:
      return oneLine(cause.replaceAll("_", " "));
  }
}
