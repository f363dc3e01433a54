/**
 * The API of jobs in the runner.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { eventRoutes } from "@lib/features/jobs/event_routes.ts";
import { jobRoutes } from "@lib/features/jobs/job_routes.ts";
import { logRoutes, logSocket } from "@lib/features/jobs/log_routes.ts";

/** Makes the part of the runner. */
export function part(services: RunnerServices): RunnerPart {
  return {
    routes: [...jobRoutes(services), ...logRoutes(services), ...eventRoutes(services)],
    sockets: [logSocket(services)],
  };
}
