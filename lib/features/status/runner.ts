/**
 * The runner at a glance: projects, queue, health, metrics.
 *
 * @module
 */
import { toRfc3339 } from "@lib/core/clock.ts";
import { seesProject } from "@lib/core/caller.ts";
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { type AnyRoute, route } from "@lib/api/route.ts";
import { readySchema, statusSchema } from "@lib/features/status/answers.ts";
import { boundLabel } from "@lib/foundations/metrics/metric.ts";
import { collectMetrics } from "@lib/features/status/metrics.ts";
import { projectRoutes, queueView } from "@lib/features/status/project_routes.ts";

/** Each project has a few dozen series; the name of a project cannot be that of the others' sum. */
const MAX_PROJECT_SERIES = 100;

/** Makes the part of the runner. */
export function part(services: RunnerServices): RunnerPart {
  return {
    routes: [...projectRoutes(services), ...runnerRoutes(services)],
    metrics: () => collectMetrics(services),
  };
}

function runnerRoutes(ports: RunnerServices): readonly AnyRoute[] {
  const ready = () => {
    const reasons = ports.unreadyReasons();
    return { ready: reasons.length === 0, reasons };
  };
  return [
    route({
      method: "GET",
      path: "/healthz",
      access: { scope: "none" },
      summary: "Liveness probe",
      answers: { 200: { description: "Alive", contentType: "text/plain" } },
      handle: (_, reply) => reply.raw(new Response("ok\n")),
    }),
    route({
      method: "GET",
      path: "/readyz",
      access: { scope: "none" },
      summary: "Readiness probe: jobs are accepted and run",
      answers: {
        200: { description: "Ready", schema: readySchema },
        503: { description: "Not ready, with the reasons", schema: readySchema },
      },
      handle: ({ caller }, reply) => {
        const { ready: isReady, reasons } = ready();
        // Reasons name directories and disks, which are not public.
        const shown = caller.kind === "anonymous" ? [] : reasons;
        return reply.json(isReady ? 200 : 503, { ready: isReady, reasons: shown });
      },
    }),
    route({
      method: "GET",
      path: "/v1/status",
      access: { scope: "read", by: "handler" },
      summary: "Show the runner at a glance",
      answers: { 200: { description: "The runner", schema: statusSchema } },
      handle: async ({ caller, signal }, reply) => {
        await ports.statesKnown(signal);
        const { version, build, pid, agents, ...facts } = ports.facts();
        return reply.json(200, {
          version,
          build,
          pid,
          started_at: toRfc3339(facts.startedAt),
          agents,
          state_dir: facts.stateDir,
          ...queueView(ports, caller),
          max_running: facts.maxRunning,
          ...ready(),
          unreadable_secrets: facts.unreadableSecrets,
          agent_problems: ports.agentProblems()
            .filter(({ project }) => seesProject(caller, project)),
          links: ports.parts().flatMap(({ links }) => links?.() ?? []).map(
            ({ isGood, since, ...link }) => ({
              ...link,
              since: toRfc3339(since),
              is_good: isGood,
            }),
          ),
          warnings: facts.warnings,
        });
      },
    }),
    route({
      method: "GET",
      path: "/metrics",
      access: { scope: "read" },
      summary: "Get metrics for Prometheus (OpenMetrics text)",
      description:
        "The older text format, if `Accept` asks for `text/plain` and not for OpenMetrics. At most " +
        "100 projects have series of their own; the others are summed up as `_other`.",
      answers: {
        200: {
          description: "The metrics",
          contentType: "application/openmetrics-text",
          otherTypes: ["text/plain"],
        },
      },
      handle: async ({ request }, reply) => {
        // The library is only loaded when the metrics are scraped.
        const { renderMetrics } = await import("@lib/foundations/metrics/render_metrics.ts");
        const collected = await Promise.all(ports.parts().map(({ metrics }) => metrics?.() ?? []));
        const bounded = boundLabel(collected.flat(), {
          label: "project",
          first: ports.configuredProjects(),
          max: MAX_PROJECT_SERIES,
          other: "_other",
        });
        const accept = request.headers.get("accept") ?? "";
        const isPlain = accept.includes("text/plain") && !accept.includes("openmetrics");
        const { text, contentType } = await renderMetrics(bounded, { isPlain });
        return reply.raw(new Response(text, { headers: { "content-type": contentType } }));
      },
    }),
  ];
}
