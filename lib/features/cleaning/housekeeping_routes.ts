/**
 * Cleaning up what jobs leave on the machine.
 *
 * @module
 */
import * as v from "valibot";
import { toRfc3339 } from "@lib/core/clock.ts";
import { CLEAN_CAUSES, CLEAN_KINDS } from "@lib/features/cleaning/plan_housekeeping.ts";
import type { CleanedItem, CleanReport } from "@lib/features/cleaning/housekeeper.ts";
import { type AnyRoute, flag, route } from "@lib/api/route.ts";

/** Cleans; `lib/housekeeping/` does. */
export type Clean = (
  options: { readonly dryRun: boolean },
  signal: AbortSignal,
) => Promise<CleanReport>;

const reportSchema = v.object({
  dry_run: v.boolean(),
  items: v.array(v.object({
    kind: v.picklist(CLEAN_KINDS),
    name: v.string(),
    project: v.nullable(v.string()),
    bytes: v.number(),
    last_used_at: v.string(),
    cause: v.picklist(CLEAN_CAUSES),
    outcome: v.picklist(["planned", "removed", "kept", "failed"]),
    detail: v.nullable(v.string()),
  })),
  skipped: v.array(v.string()),
  free_bytes_before: v.number(),
  free_bytes_after: v.number(),
});

/** The routes of housekeeping. */
export function housekeepingRoutes(ports: { readonly clean: Clean }): readonly AnyRoute[] {
  return [
    route({
      method: "POST",
      path: "/v1/housekeeping",
      access: { scope: "admin" },
      summary: "Remove what is left behind or beyond its limits",
      description:
        "Ended jobs, caches, images, copies of repositories, and what died attempts left. Goes on " +
        "after single failures: they are among the items. One cleaning runs at a time.",
      query: { dry_run: flag },
      answers: {
        200: { description: "Each thing that was chosen, and its end", schema: reportSchema },
      },
      errors: ["io_failed"],
      handle: async ({ request, query }, reply) =>
        reply.json(
          200,
          shown(await ports.clean({ dryRun: query.dry_run === true }, request.signal)),
        ),
    }),
  ];
}

function shown(report: CleanReport): v.InferOutput<typeof reportSchema> {
  return {
    dry_run: report.dryRun,
    items: report.items.map(shownItem),
    skipped: [...report.skipped],
    free_bytes_before: report.freeBytesBefore,
    free_bytes_after: report.freeBytesAfter,
  };
}

function shownItem(item: CleanedItem): v.InferOutput<typeof reportSchema>["items"][number] {
  const { kind, name, project, bytes, lastUsedAt, cause, outcome, detail } = item;
  return {
    kind,
    name,
    project: project ?? null,
    bytes,
    last_used_at: toRfc3339(lastUsedAt),
    cause,
    outcome,
    detail: detail ?? null,
  };
}
