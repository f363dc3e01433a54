/**
 * The runner about itself: health, status, metrics.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { readySchema, statusSchema } from "@lib/features/status/answers.ts";
import { queueView } from "@lib/features/status/project_routes.ts";
import { type AnyRoute, route } from "@lib/api/route.ts";

/** The routes about the runner. */
export function runnerRoutes(
  ports: RunnerServices,
  renderMetrics: () => Promise<{ readonly text: string; readonly contentType: string }>,
): readonly AnyRoute[] {
  const ready = () => {
    const reasons = ports.unreadyReasons();
    return { ready: reasons.length === 0, reasons: [...reasons] };
  };
  return [
    route({
      method: "GET",
      path: "/healthz",
      access: { scope: "none" },
      summary: "Whether the process lives",
      query: {},
      answers: { 200: { description: "It does", contentType: "text/plain" } },
      errors: [],
      handle: (_, reply) => reply.raw(new Response("ok\n")),
    }),
    route({
      method: "GET",
      path: "/readyz",
      access: { scope: "none" },
      summary: "Whether jobs are accepted and run",
      query: {},
      answers: {
        200: { description: "They are", schema: readySchema },
        503: { description: "They are not, with the reasons", schema: readySchema },
      },
      errors: [],
      handle: ({ caller }, reply) => {
        const { ready: isReady, reasons } = ready();
        // Reasons tell of directories and disks: not to just anybody.
        const shown = caller.kind === "anonymous" ? [] : reasons;
        return reply.json(isReady ? 200 : 503, { ready: isReady, reasons: shown });
      },
    }),
    route({
      method: "GET",
      path: "/v1/status",
      access: { scope: "read", by: "handler" },
      summary: "The runner at a glance",
      query: {},
      answers: { 200: { description: "The runner", schema: statusSchema } },
      errors: [],
      handle: ({ caller }, reply) => {
        const { version, build, pid, startedAt, agents, maxRunning, stateDir, warnings } = ports
          .facts();
        return reply.json(200, {
          version,
          build,
          pid,
          started_at: toRfc3339(startedAt),
          agents,
          state_dir: stateDir,
          ...queueView(ports, caller),
          max_running: maxRunning,
          ...ready(),
          warnings: [...warnings],
        });
      },
    }),
    route({
      method: "GET",
      path: "/metrics",
      access: { scope: "read" },
      summary: "Metrics for Prometheus (OpenMetrics text)",
      query: {},
      answers: {
        200: { description: "The metrics", contentType: "application/openmetrics-text" },
      },
      errors: [],
      handle: async (_, reply) => {
        const { text, contentType } = await renderMetrics();
        return reply.raw(new Response(text, { headers: { "content-type": contentType } }));
      },
    }),
  ];
}
