/**
 * `retention`.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { formatSize } from "@lib/core/size.ts";
import type { RemovalsAnswer } from "@lib/api/client/answers.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { ago, type Painter } from "@lib/api/client/format.ts";
import type { InvocationOf } from "../../../cmd/runner/commands/grammar.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

/** Shows which ended jobs retention removes; with `--sweep`, removes them. */
export async function retention(
  { dryRun, sweep }: InvocationOf<"retention">,
  context: CliContext,
): Promise<number> {
  if (dryRun && sweep) {
    throw new CicdError("usage", "Cannot do both: --dry-run shows only, --sweep removes");
  }
  const { out, flags, clock, paint, signal } = context;
  using client = await context.connect();
  const { removals } = sweep ? await client.sweep(signal) : await client.retention(signal);
  if (flags.json) {
    for (const removal of removals) await out.json(removal);
    return 0;
  }
  for (const line of renderRemovals(removals, { now: clock.now(), paint })) await out.line(line);
  const bytes = removals.reduce((sum, { log_bytes }) => sum + log_bytes, 0);
  const what = `${removals.length} jobs with ${formatSize(bytes)} of logs`;
  await out.line(sweep ? `Removed ${what}` : `Would remove ${what}; --sweep removes them now`);
  return 0;
}

/** Renders removals, a line each; nothing if there are none. */
export function renderRemovals(
  removals: RemovalsAnswer["removals"],
  { now, paint }: { readonly now: number; readonly paint: Painter },
): readonly string[] {
  if (removals.length === 0) return [];
  return renderTable({
    columns: [
      { title: "ID" },
      { title: "PROJECT" },
      { title: "ENDED" },
      { title: "LOG", align: "right" },
      { title: "BECAUSE OF" },
    ],
    rows: removals.map(({ id, project, finished_at, log_bytes, cause }) => [
      id,
      project,
      ago(finished_at, now),
      formatSize(log_bytes),
      cause.replaceAll("_", " "),
    ]),
    paintTitle: (text) => paint("faint", text),
  });
}
