/**
 * The part of the runner: the runner at a glance: projects, queue, health, metrics.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { collectMetrics } from "@lib/features/status/metrics.ts";
import { projectRoutes } from "@lib/features/status/project_routes.ts";
import { runnerRoutes } from "@lib/features/status/runner_routes.ts";

/** Makes the part. */
export function part(services: RunnerServices): RunnerPart {
  const renderMetrics = async () => {
    // The library is only needed when someone scrapes.
    const { renderMetrics } = await import("@lib/foundations/metrics/render_metrics.ts");
    return await renderMetrics(services.parts().flatMap(({ metrics }) => metrics?.() ?? []));
  };
  return {
    routes: [...projectRoutes(services), ...runnerRoutes(services, renderMetrics)],
    metrics: () => collectMetrics(services),
  };
}
