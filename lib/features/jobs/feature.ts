/**
 * The API of jobs: submit, list, show, follow, wait, cancel, retry.
 *
 * @module
 */
import type { Feature } from "@lib/api/feature.ts";
import { LOG_QUERY, logSession } from "@lib/api/log_socket.ts";
import { socket } from "@lib/api/route.ts";
import { eventRoutes } from "@lib/features/jobs/event_routes.ts";
import { jobRoutes } from "@lib/features/jobs/job_routes.ts";
import { logRoutes } from "@lib/features/jobs/log_routes.ts";

/** The API of jobs. */
export const jobsFeature: Feature = {
  name: "jobs",
  runner: (services) => ({
    routes: [...jobRoutes(services), ...logRoutes(services), ...eventRoutes(services)],
    sockets: [
      socket({
        path: "/v1/jobs/:id/logs",
        access: { scope: "read", by: "job" },
        query: LOG_QUERY,
        open: ({ job, query }) => logSession(services, job, query),
      }),
    ],
  }),
};
