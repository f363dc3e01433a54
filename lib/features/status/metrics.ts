/**
 * What the runner tells Prometheus.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import type { HttpServer } from "@lib/foundations/http/server.ts";
import type { GrytTotals } from "@lib/features/gryt/ledger.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import type { Metric } from "@lib/foundations/metrics/render_metrics.ts";

/** Where the figures come from. */
export interface MetricSources {
  readonly store: JobStore;
  readonly server: () => HttpServer | undefined;
  readonly clock: Clock;
  readonly startedAt: number;
  readonly version: string;
  readonly ready: () => boolean;
  readonly gryt: () => GrytTotals & { readonly owed: number };
}

/** Collects the runner's metrics. */
export function collectMetrics(sources: MetricSources): readonly Metric[] {
  const { store, clock } = sources;
  const totals = store.totals();
  const labelled = totals.map(({ project, state, reason, ...sums }) => ({
    labels: { project, state, reason },
    sums,
  }));
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
    pick: (sums: typeof labelled[number]["sums"]) => number,
  ): Metric => ({
    name,
    help,
    type: "counter",
    labelNames: ["project", "state", "reason"],
    samples: labelled.map(({ labels, sums }) => ({ labels, value: pick(sums) })),
  });
  return [
    {
      name: "cicd_build_info",
      help: "The running version",
      type: "gauge",
      labelNames: ["version"],
      samples: [{ labels: { version: sources.version }, value: 1 }],
    },
    {
      name: "cicd_jobs",
      help: "Jobs on record, by project and state",
      type: "gauge",
      labelNames: ["project", "state"],
      samples: store.counts().map(({ project, state, count }) => ({
        labels: { project, state },
        value: count,
      })),
    },
    gauge(
      "cicd_queue_oldest_seconds",
      "How long the oldest queued job has waited",
      oldest === undefined ? 0 : (clock.now() - oldest) / 1_000,
    ),
    sum("cicd_attempts_ended", "Attempts that ended", ({ attempts }) => attempts),
    sum(
      "cicd_attempt_wall_seconds",
      "Time that ended attempts ran",
      ({ wallSeconds }) => wallSeconds,
    ),
    sum("cicd_attempt_cpu_seconds", "CPU time of ended attempts", ({ cpuSeconds }) => cpuSeconds),
    sum("cicd_attempt_log_bytes", "Log of ended attempts", ({ logBytes }) => logBytes),
    ...grytMetrics(sources.gryt()),
    gauge("cicd_http_connections", "Open connections", sources.server()?.connections ?? 0),
    gauge(
      "cicd_http_active_requests",
      "Requests being answered",
      sources.server()?.activeRequests ?? 0,
    ),
    gauge("cicd_ready", "Whether jobs are accepted and run", sources.ready() ? 1 : 0),
    gauge("process_resident_memory_bytes", "Resident memory", Deno.memoryUsage().rss),
    gauge("process_start_time_seconds", "When the process started", sources.startedAt / 1_000),
  ];
}

/** Jobs by what their pipelines came to, which the exit code of a container does not tell. */
function grytMetrics(
  { succeeded, failed, owed }: ReturnType<MetricSources["gryt"]>,
): readonly Metric[] {
  const jobs = succeeded.jobs + failed.jobs;
  const results = [
    { labels: { result: "success" }, sums: succeeded },
    { labels: { result: "failure" }, sums: failed },
  ];
  return [
    {
      name: "cicd_gryt_jobs",
      help: "Jobs of the Gryt-compatible API that ended, by result",
      type: "counter",
      labelNames: ["result"],
      samples: results.map(({ labels, sums }) => ({ labels, value: sums.jobs })),
    },
    {
      name: "cicd_gryt_job_seconds",
      help: "Time that ended jobs of the Gryt-compatible API took",
      type: "counter",
      labelNames: ["result"],
      samples: results.map(({ labels, sums }) => ({ labels, value: sums.seconds })),
    },
    {
      name: "cicd_gryt_job_average_seconds",
      help: "Average time of a job of the Gryt-compatible API",
      type: "gauge",
      samples: [{ value: jobs === 0 ? 0 : (succeeded.seconds + failed.seconds) / jobs }],
    },
    {
      name: "cicd_gryt_results_owed",
      help: "Results of ended jobs that are still to be delivered",
      type: "gauge",
      samples: [{ value: owed }],
    },
  ];
}
