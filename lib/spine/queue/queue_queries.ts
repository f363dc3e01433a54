/**
 * Reads from the store for the scheduler: jobs that may start now in their order, intake modes.
 *
 * A query names its index: the planner knows the sizes of none, and the history dwarfs the queue.
 *
 * @module
 */
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import { countsIn } from "@lib/spine/queue/job_counts.ts";
import {
  integer,
  JOB_COLUMNS,
  jobIdIn,
  numberOf,
  parseJobRow,
  text,
} from "@lib/spine/queue/job_row.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { QUEUED_AGAIN_AT } from "@lib/spine/queue/job_schema.ts";
import type { Database, SqlValue } from "@lib/foundations/store/database.ts";

/** The first queued jobs of a project that wait for nothing but a free slot. */
export interface ProjectCandidates {
  readonly project: ProjectName;
  readonly running: number;
  readonly candidates: readonly Candidate[];
}

/** A queued job as the scheduler sees it. */
export interface Candidate {
  readonly id: JobId;
  /** Smaller starts earlier; see {@linkcode rankOf}. */
  readonly rank: number;
  readonly group?: string;
}

/** The mode in which a project, or all of them, take and start jobs. */
export type IntakeMode = "open" | "paused" | "draining";

/** The key of the mode that applies to all projects together. */
export const ALL_PROJECTS = "*";

/**
 * Returns a queued job's rank. Priority with ageing is linear in time, so the order of two jobs
 * never changes while they wait, and the rank can be an indexed column: one step of priority
 * counts as `ageingMs` of waiting.
 */
export function rankOf(job: Job, ageingMs: number): number {
  return job.createdAt - job.spec.priority * ageingMs;
}

/** Holds for a queued job whose group, if it has one, has no job at work. */
const isGroupFree = (queued: string) =>
  `(${queued}.concurrency_group IS NULL OR NOT EXISTS (
    SELECT 1 FROM jobs AS open INDEXED BY jobs_open
    WHERE open.project = ${queued}.project AND open.state IN ('starting', 'running')
      AND open.concurrency_group = ${queued}.concurrency_group))`;

/** Jobs that wait for a slot only; parameters: project, limit. */
const PLAIN_SQL = `SELECT id, rank, concurrency_group FROM jobs INDEXED BY jobs_plain
  WHERE state = 'queued' AND attempt = retry_base AND concurrency_group IS NULL AND project = ?
  ORDER BY rank, id LIMIT ?`;

/** The first jobs of groups; parameters: project, limit. */
const HEADS_SQL = `SELECT id, rank, concurrency_group
  FROM group_heads INDEXED BY group_heads_by_rank
  WHERE project = ? AND ${isGroupFree("group_heads")} ORDER BY rank, id LIMIT ?`;

/**
 * Jobs whose delay before another attempt has passed, or would begin in the future, as the clock was
 * set back; parameters: project, time, project, time, limit.
 */
const DELAYED_SQL = `SELECT id, rank, concurrency_group FROM (
    SELECT id, rank, concurrency_group, project FROM jobs INDEXED BY jobs_delayed
    WHERE state = 'queued' AND attempt > retry_base AND project = ? AND not_before <= ?
    UNION ALL
    SELECT id, rank, concurrency_group, project FROM jobs INDEXED BY jobs_delayed_since
    WHERE state = 'queued' AND attempt > retry_base AND project = ? AND ${QUEUED_AGAIN_AT} > ?
  ) AS delayed WHERE ${isGroupFree("delayed")} ORDER BY rank, id LIMIT ?`;

/** Returns the jobs that may start now, best first, for each project with queued work. */
export function queueCandidates(
  db: Database,
  { now, perProject }: { readonly now: number; readonly perProject: number },
): readonly ProjectCandidates[] {
  const running = [countsIn(db, "starting"), countsIn(db, "running")];
  return [...countsIn(db, "queued").keys()].map((project) => {
    const rows = [
      ...db.all(PLAIN_SQL, project, perProject),
      ...db.all(HEADS_SQL, project, perProject),
      ...db.all(DELAYED_SQL, project, now, project, now, perProject),
    ];
    const candidates = rows.map((row): Candidate => {
      const group = row["concurrency_group"];
      return {
        id: jobIdIn(row),
        rank: integer(row, "rank"),
        ...(typeof group === "string" ? { group } : {}),
      };
    }).sort((a, b) => a.rank - b.rank || (a.id < b.id ? -1 : 1)).slice(0, perProject);
    const own = running.reduce((sum, counts) => sum + (counts.get(project) ?? 0), 0);
    return { project, running: own, candidates };
  });
}

/** Returns the jobs with an attempt under way, according to the record. */
export function jobsInFlight(db: Database): readonly Job[] {
  return db.all(
    `SELECT ${JOB_COLUMNS} FROM jobs INDEXED BY jobs_open
     WHERE state IN ('starting', 'running') ORDER BY id`,
  ).map(parseJobRow);
}

/** Returns the time when the oldest queued job was submitted; `undefined` if none is queued. */
export function oldestQueuedAt(db: Database): number | undefined {
  // Ids are in the order of submission.
  return numberOf(
    db,
    `SELECT created_at AS n FROM jobs INDEXED BY jobs_in_state
     WHERE state = 'queued' ORDER BY id LIMIT 1`,
  );
}

/** Returns the time when the next delayed job may start; `undefined` if there is none. */
export function nextNotBefore(db: Database, now: number): number | undefined {
  return numberOf(
    db,
    `SELECT min(not_before) AS n FROM jobs INDEXED BY jobs_due
     WHERE state = 'queued' AND attempt > retry_base AND not_before > ?`,
    now,
  );
}

/** The parts of a project's queue, each in its order; parameters: project, rank, id, limit. */
const QUEUE_PARTS = [
  `FROM jobs INDEXED BY jobs_plain WHERE state = 'queued' AND attempt = retry_base
     AND concurrency_group IS NULL AND project = ?`,
  `FROM jobs INDEXED BY jobs_held WHERE state = 'queued'
     AND (attempt > retry_base OR concurrency_group IS NOT NULL) AND project = ?`,
];

/** So many jobs are counted behind a new one, which mostly is the last, before those before it are. */
const FEW_BEHIND = 100;

/** Counts the queued jobs of the project that start before this one. */
export function queuePosition(db: Database, { id, spec: { project } }: Job, rank: number): number {
  const count = (sql: (part: string) => string, ...values: readonly SqlValue[]) =>
    QUEUE_PARTS.reduce(
      (sum, part) => sum + (numberOf(db, sql(part), project, rank, id, ...values) ?? 0),
      0,
    );
  const behind = count(
    (part) => `SELECT count(*) AS n FROM (SELECT 1 ${part} AND (rank, id) > (?, ?) LIMIT ?)`,
    FEW_BEHIND,
  );
  if (behind < FEW_BEHIND) {
    return Math.max(0, (countsIn(db, "queued").get(project) ?? 0) - behind - 1);
  }
  return count((part) => `SELECT count(*) AS n ${part} AND (rank, id) < (?, ?)`);
}

/** Returns the modes that are not `open`, by project. */
export function readIntakeModes(db: Database): ReadonlyMap<string, IntakeMode> {
  return new Map(
    db.all("SELECT project, mode FROM intake").map((row) => {
      const mode = text(row, "mode");
      return [text(row, "project"), mode === "paused" || mode === "draining" ? mode : "open"];
    }),
  );
}

/** Stores a mode. */
export function writeIntakeMode(
  db: Database,
  project: ProjectName | typeof ALL_PROJECTS,
  mode: IntakeMode,
): void {
  if (mode === "open") db.run("DELETE FROM intake WHERE project = ?", project);
  else {
    db.run(
      "INSERT INTO intake (project, mode) VALUES (?, ?) ON CONFLICT DO UPDATE SET mode = excluded.mode",
      project,
      mode,
    );
  }
}
