/**
 * Metrics of the Gryt-compatible API.
 *
 * @module
 */
import type { GrytTotals } from "@lib/features/gryt/ledger.ts";
import type { Metric } from "@lib/foundations/metrics/render_metrics.ts";

/** Jobs by the result of their pipelines, which the exit code of a container does not tell. */
export function grytMetrics(
  { succeeded, failed, owed }: GrytTotals & { readonly owed: number },
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
