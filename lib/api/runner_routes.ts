/**
 * The runner about itself: health, status, metrics.
 *
 * @module
 */
import * as v from "valibot";
import { toRfc3339 } from "@lib/core/clock.ts";
import type { ApiPorts } from "@lib/api/ports.ts";
import { queueView } from "@lib/api/project_routes.ts";
import { type AnyRoute, route } from "@lib/api/route.ts";

const healthSchema = v.object({ status: v.picklist(["healthy", "degraded"]), version: v.string() });

const readySchema = v.object({ ready: v.boolean(), reasons: v.array(v.string()) });

const statusSchema = v.object({
  version: v.string(),
  build: v.string(),
  pid: v.number(),
  started_at: v.string(),
  agents: v.pipe(v.string(), v.description("How agents are started: systemd or child")),
  state_dir: v.string(),
  mode: v.string(),
  queued: v.number(),
  in_flight: v.number(),
  max_running: v.number(),
  ready: v.boolean(),
  reasons: v.array(v.string()),
});

/** The routes about the runner. */
export function runnerRoutes(ports: ApiPorts): readonly AnyRoute[] {
  const ready = () => {
    const reasons = ports.unreadyReasons();
    return { ready: reasons.length === 0, reasons: [...reasons] };
  };
  return [
    route({
      method: "GET",
      path: "/health",
      summary: "Whether the runner works, for monitors",
      query: {},
      answers: { 200: { description: "Always, while the runner answers", schema: healthSchema } },
      errors: [],
      handle: () =>
        Response.json({
          status: ready().ready ? "healthy" : "degraded",
          version: ports.facts().version,
        }),
    }),
    route({
      method: "GET",
      path: "/healthz",
      summary: "Whether the process lives",
      query: {},
      answers: { 200: { description: "It does", contentType: "text/plain" } },
      errors: [],
      handle: () => new Response("ok\n"),
    }),
    route({
      method: "GET",
      path: "/readyz",
      summary: "Whether jobs are accepted and run",
      query: {},
      answers: {
        200: { description: "They are", schema: readySchema },
        503: { description: "They are not, with the reasons", schema: readySchema },
      },
      errors: [],
      handle: () => {
        const answer = ready();
        return Response.json(answer, { status: answer.ready ? 200 : 503 });
      },
    }),
    route({
      method: "GET",
      path: "/v1/status",
      summary: "The runner at a glance",
      query: {},
      answers: { 200: { description: "The runner", schema: statusSchema } },
      errors: [],
      handle: () => {
        const { version, build, pid, startedAt, agents, maxRunning, stateDir } = ports.facts();
        return Response.json({
          version,
          build,
          pid,
          started_at: toRfc3339(startedAt),
          agents,
          state_dir: stateDir,
          ...queueView(ports),
          max_running: maxRunning,
          ...ready(),
        });
      },
    }),
    route({
      method: "GET",
      path: "/metrics",
      summary: "Metrics for Prometheus (OpenMetrics text)",
      query: {},
      answers: {
        200: { description: "The metrics", contentType: "application/openmetrics-text" },
      },
      errors: [],
      handle: async () => {
        const { text, contentType } = await ports.renderMetrics();
        return new Response(text, { headers: { "content-type": contentType } });
      },
    }),
  ];
}
