/**
 * Reads from the store for metrics, retention and requests: sums, ended jobs, names of jobs.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import {
  integer,
  JOB_COLUMNS,
  jobIdIn,
  parseJobRow,
  projectIn,
  text,
} from "@lib/spine/queue/job_row.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { Database } from "@lib/foundations/store/database.ts";

/** An ended job as retention sees it. */
export interface EndedJob {
  readonly id: JobId;
  readonly project: ProjectName;
  readonly finishedAt: number;
  /** Bytes of log, over all attempts. */
  readonly logBytes: number;
}

/** An idempotency key and the hash of its request. */
export interface Idempotency {
  readonly key: string;
  readonly requestHash: string;
}

/** Sums over the attempts of a project that ended with the same state and reason. */
export interface AttemptTotals {
  readonly project: string;
  readonly state: string;
  readonly reason: string;
  readonly attempts: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly logBytes: number;
}

/** Returns a job; `undefined` if there is none of this id. */
export function findJob(db: Database, id: JobId): Job | undefined {
  const row = db.first(`SELECT ${JOB_COLUMNS} FROM jobs WHERE id = ?`, id);
  return row === undefined ? undefined : parseJobRow(row);
}

/** @throws {CicdError} `job_not_found` */
export function requireJob(db: Database, id: JobId): Job {
  const job = findJob(db, id);
  if (job !== undefined) return job;
  throw new CicdError(
    "job_not_found",
    `Cannot find job "${id}": it never was, or its record has been removed by retention`,
  );
}

/** Returns at most six ids that begin with `prefix`; only of `projects` if they are given. */
export function idsWithPrefix(
  db: Database,
  prefix: string,
  projects?: readonly ProjectName[],
): readonly JobId[] {
  const range = [prefix, `${prefix}g`] as const;
  const rows = projects === undefined
    ? db.all("SELECT id FROM jobs WHERE id >= ? AND id < ? ORDER BY id LIMIT 6", ...range)
    : projects.flatMap((project) =>
      db.all(
        "SELECT id FROM jobs WHERE project = ? AND id >= ? AND id < ? ORDER BY id LIMIT 6",
        project,
        ...range,
      )
    );
  return rows.map((row) => jobIdIn(row)).sort().slice(0, 6);
}

/** Returns the id of the machine's boot in which the job's latest attempt was claimed. */
export function bootIdOf(db: Database, { id, attempt }: Job): string {
  const sql = "SELECT boot_id FROM attempts WHERE job_id = ? AND number = ?";
  const row = db.first(sql, id, attempt);
  return row === undefined ? "" : text(row, "boot_id");
}

/** Sums over all attempts that ever ended; the sums only grow, across restarts too. */
export function attemptTotals(db: Database): readonly AttemptTotals[] {
  return db.all("SELECT * FROM totals").map((row) => ({
    project: text(row, "project"),
    state: text(row, "state"),
    reason: text(row, "reason"),
    attempts: integer(row, "attempts"),
    wallSeconds: integer(row, "wall_seconds"),
    cpuSeconds: integer(row, "cpu_seconds"),
    logBytes: integer(row, "log_bytes"),
  }));
}

/** A part of the ended jobs. */
export interface EndedPage {
  /** The last job of the part before. */
  readonly after: Pick<EndedJob, "id" | "finishedAt"> | undefined;
  readonly limit: number;
}

/** Returns the next ended jobs, oldest end first: the candidates of retention. */
export function endedJobs(db: Database, { after, limit }: EndedPage): readonly EndedJob[] {
  return db.all(
    `SELECT id, project, finished_at, (
       SELECT coalesce(sum(json_extract(outcome, '$.logBytes')), 0) FROM attempts WHERE job_id = id
     ) AS log_bytes
     FROM jobs INDEXED BY jobs_finished
     WHERE finished_at IS NOT NULL AND (finished_at, id) > (?, ?)
     ORDER BY finished_at, id LIMIT ?`,
    after?.finishedAt ?? -1,
    after?.id ?? "",
    limit,
  ).map((row) => ({
    id: jobIdIn(row),
    project: projectIn(row),
    finishedAt: integer(row, "finished_at"),
    logBytes: integer(row, "log_bytes"),
  }));
}

/**
 * Returns the id of the job that was stored with this key before; `undefined` if there is none.
 *
 * @throws {CicdError} `idempotency_key_reused` if the key belongs to another request.
 */
export function replayedJobId(db: Database, { key, requestHash }: Idempotency): JobId | undefined {
  const row = db.first("SELECT request_hash, job_id FROM idempotency_keys WHERE key = ?", key);
  if (row === undefined) return undefined;
  if (text(row, "request_hash") !== requestHash) {
    throw new CicdError(
      "idempotency_key_reused",
      `Cannot submit with this Idempotency-Key: it belongs to job "${text(row, "job_id")}", ` +
        `which was submitted with a different body; use a new key`,
    );
  }
  return jobIdIn(row, "job_id");
}

/** Returns the jobs whose place is kept, according to the record. */
export function heldJobs(db: Database, project?: ProjectName): readonly Job[] {
  const rows = db.all(
    `SELECT ${JOB_COLUMNS} FROM jobs INDEXED BY jobs_kept WHERE held_until IS NOT NULL`,
  );
  return rows.map(parseJobRow).filter(({ spec }) =>
    project === undefined || spec.project === project
  );
}
