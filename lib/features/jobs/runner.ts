/**
 * The part of the runner: the API of jobs: submit, list, show, follow, wait, cancel, retry.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { eventRoutes } from "@lib/features/jobs/event_routes.ts";
import { jobRoutes } from "@lib/features/jobs/job_routes.ts";
import { logRoutes, logSocket } from "@lib/features/jobs/log_routes.ts";

/** Makes the part. */
export function part(services: RunnerServices): RunnerPart {
  return {
    routes: [...jobRoutes(services), ...logRoutes(services), ...eventRoutes(services)],
    sockets: [logSocket(services)],
  };
}
