/**
 * The API of jobs in the runner.
 *
 * @module
 */
import type { RunnerPart, RunnerServices } from "@lib/api/feature.ts";
import { eventRoutes } from "@lib/features/jobs/event_routes.ts";
import { jobRoutes } from "@lib/features/jobs/job_routes.ts";
import { ClientLeases } from "@lib/features/jobs/leases.ts";
import { logRoutes, logSocket } from "@lib/features/jobs/log_routes.ts";
export { LEASE_MIGRATIONS as migrations } from "@lib/features/jobs/leases.ts";

/** The version of "jobs" is that of the queue's tables. */
export const schema = "jobs_api";

/** Makes the part of the runner. */
export function part(services: RunnerServices): RunnerPart {
  const leases = new ClientLeases(services);
  return {
    routes: [
      ...jobRoutes(services, leases),
      ...logRoutes(services, leases),
      ...eventRoutes(services),
    ],
    sockets: [logSocket(services)],
    start: () => leases.start(),
    [Symbol.dispose]: () => leases[Symbol.dispose](),
  };
}
