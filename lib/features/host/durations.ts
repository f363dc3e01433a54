/**
 * Histograms of the run time of attempts, and of the time that jobs waited for their start.
 *
 * The counts are kept in the database, by triggers in the transaction of the change itself: the runner
 * exits when idle, and no writer can forget them.
 *
 * @module
 */
import type { Database, Migration } from "@lib/foundations/store/database.ts";
import type { Metric, Sample } from "@lib/foundations/metrics/metric.ts";

/** Upper bounds of the buckets, in seconds. */
const BOUNDS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 1_800, 3_600, 10_800, 43_200] as const;

/** In the table, the bucket without an upper bound has this one. */
const UNBOUNDED = 1e18;

const RUN_MS = "coalesce(new.outcome ->> '$.finishedAt', new.started_at) - new.started_at";

/** The tables; append migrations, never edit a shipped one. */
export const DURATION_MIGRATIONS: readonly Migration[] = [
  // A trigger is one statement: its inner semicolons are not at the end of a line.
  `
CREATE TABLE duration_buckets (
  project TEXT NOT NULL,
  phase TEXT NOT NULL,
  le REAL NOT NULL,
  observed INTEGER NOT NULL,
  seconds REAL NOT NULL,
  PRIMARY KEY (project, phase, le)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER durations_run AFTER UPDATE OF outcome ON attempts
WHEN old.outcome IS NULL AND new.outcome IS NOT NULL AND new.started_at IS NOT NULL
${observe("run", RUN_MS)}

CREATE TRIGGER durations_start AFTER UPDATE OF started_at ON attempts
WHEN old.started_at IS NULL AND new.started_at IS NOT NULL AND new.number = 1
${observe("start", "new.started_at - created_at")}
`,
];

/** Counts one observation; `ms` may name columns of the attempt and of its job. */
function observe(phase: string, ms: string): string {
  const bucket = BOUNDS.map((bound) => `WHEN s <= ${bound} THEN ${bound.toFixed(1)}`).join(" ");
  return `BEGIN
  INSERT INTO duration_buckets
  SELECT project, '${phase}', CASE ${bucket} ELSE ${UNBOUNDED.toExponential()} END, 1, s
  FROM (SELECT project, max(0, ${ms}) / 1000.0 AS s FROM jobs WHERE id = new.job_id) WHERE true
  ON CONFLICT DO UPDATE SET observed = observed + 1, seconds = seconds + excluded.seconds; END;`;
}

const PHASES = {
  run: {
    name: "cicd_attempt_duration_seconds",
    help: "Time from the start of an attempt's own process to its end",
  },
  start: {
    name: "cicd_job_start_delay_seconds",
    help: "Time from the submission of a job to the start of its first attempt, setup included",
  },
} as const;

/** Reads the histograms of these projects. */
export function durationMetrics(db: Database, isShown: (project: string) => boolean) {
  const rows = db.all("SELECT * FROM duration_buckets ORDER BY project, phase, le");
  return Object.entries(PHASES).map(([phase, { name, help }]): Metric => {
    const byProject = new Map<string, { readonly counts: Map<number, number>; seconds: number }>();
    for (const row of rows) {
      const project = String(row["project"]);
      if (row["phase"] !== phase || !isShown(project)) continue;
      const found = byProject.get(project) ?? { counts: new Map<number, number>(), seconds: 0 };
      found.counts.set(Number(row["le"]), Number(row["observed"]));
      found.seconds += Number(row["seconds"]);
      byProject.set(project, found);
    }
    const samples = [...byProject].map(([project, { counts, seconds }]): Sample => {
      let count = 0;
      const buckets = [...BOUNDS, UNBOUNDED].map((bound) => {
        count += counts.get(bound) ?? 0;
        return { le: bound === UNBOUNDED ? Infinity : bound, count };
      });
      return { labels: { project }, value: seconds, buckets };
    });
    return { name, help, type: "histogram", labelNames: ["project"], samples };
  });
}
