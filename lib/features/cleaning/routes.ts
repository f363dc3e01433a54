/**
 * The API of cleaning; the routes of retention show the ended jobs of its plan.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import { type AnyRoute, flag, route } from "@lib/api/route.ts";
import { removalsSchema, reportSchema } from "@lib/features/cleaning/answers.ts";
import type { Clean, CleanReport } from "@lib/features/cleaning/cleaner.ts";

/** Returns the routes. */
export function cleaningRoutes({ clean }: { readonly clean: Clean }): readonly AnyRoute[] {
  return [
    route({
      method: "POST",
      path: "/v1/housekeeping",
      access: { scope: "admin" },
      summary: "Remove orphans and everything beyond its limits",
      description:
        "Ended jobs, caches, images, repository mirrors, and files of attempts that are over. " +
        "Continues after single failures: they are among the items. One cleaning runs at a time.",
      query: { dry_run: flag },
      answers: {
        200: { description: "Each chosen thing and its outcome", schema: reportSchema },
      },
      errors: ["io_failed"],
      handle: async ({ request: { signal }, query }, reply) => {
        const dryRun = query.dry_run === true;
        return reply.json(200, showReport(await clean({ dryRun, scope: "all" }, signal)));
      },
    }),
    route({
      method: "GET",
      path: "/v1/retention",
      access: { scope: "read" },
      summary: "List the ended jobs that retention would remove now",
      query: {},
      answers: { 200: { description: "Oldest first; nothing is removed", schema: removalsSchema } },
      errors: [],
      handle: async ({ request: { signal } }, reply) =>
        reply.json(200, showJobs(await clean({ dryRun: true, scope: "history" }, signal))),
    }),
    route({
      method: "POST",
      path: "/v1/retention/sweep",
      access: { scope: "admin" },
      summary: "Remove the ended jobs beyond the limits of retention now",
      description:
        "With less than retention.min_free_disk free, also removes things that are cheap to recreate.",
      query: {},
      answers: { 200: { description: "The jobs that were removed", schema: removalsSchema } },
      errors: ["io_failed", "disk_full"],
      handle: async ({ request: { signal } }, reply) => {
        const report = await clean({ dryRun: false, scope: "history" }, signal);
        const failed = report.items.filter(({ outcome }) => outcome === "failed");
        if (failed.length > 0) {
          throw new CicdError(
            failed.every(({ code }) => code === "disk_full") ? "disk_full" : "io_failed",
            `Cannot remove ${failed.map(({ kind, name }) => `${kind} "${name}"`).join(", ")}: ` +
              `${failed[0]?.detail}; the rest was removed`,
          );
        }
        return reply.json(200, showJobs(report));
      },
    }),
  ];
}

function showReport(report: CleanReport) {
  return {
    dry_run: report.dryRun,
    items: report.items.map((item) => ({
      kind: item.kind,
      name: item.name,
      project: item.project ?? null,
      bytes: item.bytes,
      last_used_at: toRfc3339(item.lastUsedAt),
      cause: item.cause,
      outcome: item.outcome,
      detail: item.detail ?? null,
    })),
    skipped: report.skipped,
    free_bytes_before: report.freeBytesBefore,
    free_bytes_after: report.freeBytesAfter,
    remains: {
      count: report.remains.count,
      items: report.remains.items.map(({ path, reason, since }) => ({
        path,
        reason,
        since: toRfc3339(since),
      })),
    },
  };
}

function showJobs({ items }: CleanReport) {
  return {
    removals: items.flatMap(({ kind, key, project, lastUsedAt, logBytes, cause, outcome }) =>
      kind !== "job" || cause === "left_behind" || outcome === "kept" ? [] : [{
        id: key,
        project: project ?? "",
        finished_at: toRfc3339(lastUsedAt),
        log_bytes: logBytes ?? 0,
        cause,
      }]
    ),
  };
}
