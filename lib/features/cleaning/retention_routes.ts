/**
 * What of the history goes, and making it go now.
 *
 * @module
 */
import * as v from "valibot";
import { toRfc3339 } from "@lib/core/clock.ts";
import type { Removal } from "@lib/features/cleaning/plan_retention.ts";
import { planSweep, sweep, type SweepOptions } from "@lib/features/cleaning/sweep.ts";
import { type AnyRoute, route } from "@lib/api/route.ts";

const removalsSchema = v.object({
  removals: v.array(v.object({
    id: v.string(),
    project: v.string(),
    finished_at: v.string(),
    log_bytes: v.number(),
    cause: v.picklist(["age", "count", "bytes", "free_disk"]),
  })),
});

/** The routes of retention. */
export function retentionRoutes(ports: { readonly sweep: SweepOptions }): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/retention",
      access: { scope: "read" },
      summary: "Which ended jobs retention would remove now",
      query: {},
      answers: { 200: { description: "Oldest first; nothing is removed", schema: removalsSchema } },
      errors: [],
      handle: async ({ request }, reply) =>
        reply.json(200, shown(await planSweep(ports.sweep, request.signal))),
    }),
    route({
      method: "POST",
      path: "/v1/retention/sweep",
      access: { scope: "admin" },
      summary: "Remove what is beyond the limits of retention now",
      query: {},
      answers: { 200: { description: "What was removed", schema: removalsSchema } },
      errors: ["io_failed"],
      handle: async ({ request }, reply) =>
        reply.json(200, shown(await sweep(ports.sweep, request.signal))),
    }),
  ];
}

function shown(removals: readonly Removal[]): v.InferOutput<typeof removalsSchema> {
  return {
    removals: removals.map(({ job, cause }) => ({
      id: job.id,
      project: job.project,
      finished_at: toRfc3339(job.finishedAt),
      log_bytes: job.logBytes,
      cause,
    })),
  };
}
