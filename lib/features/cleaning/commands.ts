/**
 * The commands that clean up.
 *
 * @module
 */
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { CicdError, ignore } from "@lib/core/errors.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { formatSize } from "@lib/core/size.ts";
import { type Command, defineCommand } from "@lib/api/client/command.ts";
import type { CliContext } from "@lib/api/client/context.ts";
import { ago, oneLine, type Painter } from "@lib/api/client/format.ts";
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import { removalsSchema, reportSchema } from "@lib/features/cleaning/answers.ts";
import { toggle } from "@lib/foundations/cli/grammar_values.ts";
import { renderTable } from "@lib/foundations/cli/table.ts";

/** Interval of the notes that a cleaning is still running. */
const NOTE_EVERY_MS = 5_000;
/** Extra time for an answer: removing large directories takes long. */
const EXTRA_MS = 1_800_000;

/** A cleaning, or a plan of one. */
export type CleanAnswer = ReadingOf<typeof reportSchema>;
/** A chosen thing. */
export type CleanItemAnswer = CleanAnswer["items"][number];

const readReport = reading(reportSchema, "the cleaning");
const readRemovals = reading(removalsSchema, "the retention");

const retention = defineCommand({
  name: "retention",
  brief: message`Show or remove the ended jobs beyond the limits of retention`,
  examples: ["cicd-runner retention --sweep"],
  flags: () =>
    object({
      dryRun: toggle(["--dry-run"], message`Show what would be removed; the default`),
      sweep: toggle(["--sweep"], message`Remove it now`),
    }),
  async run({ dryRun, sweep }, context) {
    if (dryRun && sweep) {
      throw new CicdError("usage", "Cannot combine --dry-run, which removes nothing, with --sweep");
    }
    const { out, flags, clock, paint, signal } = context;
    using runner = await context.connect();
    const request = sweep
      ? { method: "POST", path: "/v1/retention/sweep" } as const
      : { path: "/v1/retention" };
    const { removals } = await withProgress(
      context,
      () => runner.ask(readRemovals, { ...request, signal, extraMs: EXTRA_MS }),
    );
    if (flags.json) {
      for (const removal of removals) await out.json(removal);
      return 0;
    }
    for (const line of await renderRemovals(removals, { now: clock.now(), paint })) {
      await out.line(line);
    }
    const bytes = removals.reduce((sum, { log_bytes }) => sum + log_bytes, 0);
    const what = `${removals.length} jobs with ${formatSize(bytes)} of logs`;
    await out.line(sweep ? `Removed ${what}` : `Would remove ${what}; --sweep removes them now`);
    return 0;
  },
});

const clean = defineCommand({
  name: "clean",
  brief: message`Clean up after jobs: old jobs, caches, images, repository mirrors`,
  description:
    message`Removes orphans and everything beyond its limits, and more while less disk is free
than retention.min_free_disk. Exits with 1 if something could not be removed.`,
  examples: ["cicd-runner clean --dry-run", "cicd-runner clean"],
  flags: () =>
    object({
      dryRun: toggle(["--dry-run"], message`Show what would be removed, and remove nothing`),
    }),
  async run({ dryRun }, context) {
    const { out, flags, paint, signal } = context;
    using runner = await context.connect();
    const path = `/v1/housekeeping${dryRun ? "?dry_run=1" : ""}`;
    const answer = await withProgress(
      context,
      () => runner.ask(readReport, { method: "POST", path, signal, extraMs: EXTRA_MS }),
    );
    const failed = answer.items.filter(({ outcome }) => outcome === "failed");
    if (flags.json) await out.json(answer);
    else {
      for (const line of await renderCleaning(answer, paint)) await out.line(line);
      for (const { kind, name, detail } of failed) {
        out.note(`Cannot remove ${kind} ${oneLine(name)}: ${oneLine(detail ?? "")}`);
      }
      for (const sentence of answer.skipped) out.note(oneLine(sentence));
      for (const sentence of renderRemains(answer)) out.note(sentence);
    }
    return failed.length > 0 ? 1 : 0;
  },
});

/** The commands that clean up, in the order of the help. */
export const commands: readonly Command[] = [retention, clean];

/** Waits for an answer; on a terminal, reports the time that it has taken. */
export async function withProgress<T>(
  { out, clock, signal }: Pick<CliContext, "out" | "clock" | "signal">,
  ask: () => Promise<T>,
): Promise<T> {
  if (!out.isTerminal) return await ask();
  const startedAt = clock.now();
  const answered = new AbortController();
  const report = async () => {
    while (!answered.signal.aborted) {
      await clock.sleep(NOTE_EVERY_MS, { signal: AbortSignal.any([signal, answered.signal]) });
      out.note(`still cleaning after ${formatDuration(clock.now() - startedAt)}`);
    }
  };
  void report().catch(ignore("the answer has arrived, or the command is over"));
  try {
    return await ask();
  } finally {
    answered.abort();
  }
}

/** Renders a cleaning: a table of kinds and causes, and a summary. */
export async function renderCleaning(
  answer: CleanAnswer,
  paint: Painter,
): Promise<readonly string[]> {
  const chosen = answer.items.filter(({ outcome }) =>
    outcome === "removed" || outcome === "planned"
  );
  const groups = [...Map.groupBy(chosen, ({ kind, cause }) => `${kind}\n${cause}`).values()];
  const table = groups.length === 0 ? [] : await renderTable({
    columns: [
      { title: "WHAT" },
      { title: "COUNT", align: "right" },
      { title: "SIZE", align: "right" },
      { title: "WHY" },
    ],
    rows: groups.map((items) => {
      const { kind = "", cause = "" } = items[0] ?? {};
      const count = String(items.length);
      return [oneLine(kind), count, formatSize(bytesOf(items)), reasonOf(cause)];
    }),
    paintTitle: (text) => paint("faint", text),
  });
  return [...table, summary(answer, chosen)];
}

/** Most paths that are shown of what resists removal. */
const SHOWN_REMAINS = 20;

/** Renders what resists removal, without what failed now. */
export function renderRemains({ items: chosen, remains }: CleanAnswer): readonly string[] {
  const items = (remains?.items ?? []).filter(({ path }) =>
    !chosen.some(({ outcome, detail }) => outcome === "failed" && detail?.includes(path))
  );
  if (items.length === 0) return [];
  // The answer names at most 1,000 of them, a screen fewer.
  const count = items.length + (remains?.count ?? 0) - (remains?.items.length ?? 0);
  const more = count - SHOWN_REMAINS;
  return [
    `${
      count === 1 ? "1 thing" : `${count} things`
    } of jobs cannot be removed, and will be tried again:`,
    ...items.slice(0, SHOWN_REMAINS).map(({ path, reason, since }) =>
      `  ${oneLine(path)}, since ${since}: ${oneLine(reason)}`
    ),
    ...(more > 0 ? [`  and ${more} more; --json lists up to 1,000`] : []),
  ];
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

const REASONS: ReadonlyMap<string, string> = new Map([
  ["age", "not used for long"],
  ["count", "more than are kept"],
  ["bytes", "larger than is kept"],
  ["free_disk", "the disk is too full"],
  ["left_behind", "orphaned"],
]);

function reasonOf(cause: string): string {
  return REASONS.get(cause) ?? oneLine(cause.replaceAll("_", " "));
}

/** Renders removals, a line each; nothing if there are none. */
async function renderRemovals(
  removals: ReadingOf<typeof removalsSchema>["removals"],
  { now, paint }: { readonly now: number; readonly paint: Painter },
): Promise<readonly string[]> {
  if (removals.length === 0) return [];
  return await renderTable({
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
