/**
 * Metrics of the runner and the queue.
 *
 * @module
 */
import type { RunnerServices } from "@lib/api/feature.ts";
import type { Metric } from "@lib/foundations/metrics/metric.ts";

/** The parts of the runner that are measured. */
type Measured =
  & Pick<
    RunnerServices,
    "store" | "clock" | "unreadyReasons" | "configuredProjects" | "agentProblems"
  >
  & {
    readonly facts: () => Pick<
      ReturnType<RunnerServices["facts"]>,
      "version" | "startedAt" | "maxRunning"
    >;
    readonly serverLoad: () => Pick<
      ReturnType<RunnerServices["serverLoad"]>,
      "connections" | "activeRequests"
    >;
  };

/** Collects the metrics of the runner itself and of the queue. */
export function collectMetrics(
  { store, clock, facts, serverLoad, unreadyReasons, configuredProjects, agentProblems }: Measured,
): readonly Metric[] {
  const { version, startedAt, maxRunning } = facts();
  const { connections, activeRequests } = serverLoad();
  const counts = store.counts();
  const known = new Set<string>([...configuredProjects(), ...counts.map(({ project }) => project)]);
  // The sums of a project outlive its jobs; its series would stay for ever.
  const totals = store.totals().filter(({ project }) => known.has(project));
  const oldest = store.oldestQueuedAt();
  const gauge = (name: string, help: string, value: number): Metric => ({
    name,
    help,
    type: "gauge",
    samples: [{ value }],
  });
  const sum = (
    name: string,
    help: string,
    pick: (sums: typeof totals[number]) => number,
  ): Metric => ({
    name,
    help,
    type: "counter",
    labelNames: ["project", "state", "reason"],
    samples: totals.map((sums) => ({
      labels: { project: sums.project, state: sums.state, reason: sums.reason },
      value: pick(sums),
    })),
  });
  return [
    {
      name: "cicd_build_info",
      help: "The running version",
      type: "gauge",
      labelNames: ["version"],
      samples: [{ labels: { version }, value: 1 }],
    },
    {
      name: "cicd_jobs",
      help: "Recorded jobs by project and state",
      type: "gauge",
      labelNames: ["project", "state"],
      samples: counts.map(({ project, state, count }) => ({
        labels: { project, state },
        value: count,
      })),
    },
    gauge(
      "cicd_queue_oldest_seconds",
      "Waiting time of the oldest queued job",
      oldest === undefined ? 0 : (clock.now() - oldest) / 1_000,
    ),
    sum("cicd_attempts_ended", "Attempts that ended", ({ attempts }) => attempts),
    sum("cicd_attempt_wall_seconds", "Run time of ended attempts", (sums) => sums.wallSeconds),
    sum("cicd_attempt_cpu_seconds", "CPU time of ended attempts", ({ cpuSeconds }) => cpuSeconds),
    sum("cicd_attempt_log_bytes", "Log of ended attempts", ({ logBytes }) => logBytes),
    gauge("cicd_queue_depth", "Jobs that are queued", store.queuedCount()),
    gauge("cicd_queue_in_flight", "Jobs that start or run", store.inFlightCount()),
    gauge("cicd_queue_max_running", "Jobs that may run at the same time", maxRunning),
    {
      name: "cicd_agent_problem",
      help: "1 while the agent of a project does not answer or cannot do its work",
      type: "gauge",
      labelNames: ["project"],
      samples: agentProblems().map(({ project }) => ({ labels: { project }, value: 1 })),
    },
    gauge("cicd_http_connections", "Open connections", connections),
    gauge("cicd_http_active_requests", "Requests being answered", activeRequests),
    gauge("cicd_ready", "1 if jobs are accepted and run", unreadyReasons().length === 0 ? 1 : 0),
    gauge("process_resident_memory_bytes", "Resident memory", Deno.memoryUsage().rss),
    gauge("process_start_time_seconds", "When the process started", startedAt / 1_000),
  ];
}
