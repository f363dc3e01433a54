/**
 * Reads from the store for lists, metrics and retention: pages of jobs, counts, sums.
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
  stateIn,
  text,
} from "@lib/spine/queue/job_row.ts";
import type { Job, JobState } from "@lib/spine/jobs/model.ts";
import type { Database, SqlValue } from "@lib/foundations/store/database.ts";

/** Selects the jobs of a list, newest first. */
export interface JobFilter {
  readonly project?: ProjectName;
  /** The projects that the caller may see. */
  readonly projects?: readonly ProjectName[];
  readonly states?: readonly JobState[];
  /** The labels that a job must have, all of them. */
  readonly labels?: readonly (readonly [name: string, value: string])[];
  /** Lists only jobs older than this one. */
  readonly before?: JobId;
  readonly limit: number;
}

/** Part of a list of jobs. */
export interface JobPage {
  readonly jobs: readonly Job[];
  /** The list goes on after these. */
  readonly more: boolean;
}

/** The number of jobs of a project in a state. */
export interface StateCount {
  readonly project: ProjectName;
  readonly state: JobState;
  readonly count: number;
}

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

/** A job may hold megabytes of script, so a page is bounded by the bytes of its specs too. */
const PAGE_MAX_BYTES = 2 * 1024 * 1024;

/** Returns at most six ids that begin with `prefix`; only of `projects` if they are given. */
export function idsWithPrefix(
  db: Database,
  prefix: string,
  projects?: readonly ProjectName[],
): readonly JobId[] {
  const among = projects === undefined ? "" : `AND project IN (${placesFor(projects)})`;
  return db.all(
    `SELECT id FROM jobs WHERE id >= ? AND id < ? ${among} ORDER BY id LIMIT 6`,
    prefix,
    `${prefix}g`,
    ...projects ?? [],
  ).map((row) => jobIdIn(row));
}

/** Returns at most `limit` jobs, fewer if they are large. */
export function listJobs(
  db: Database,
  { project, projects, states, labels = [], before, limit }: JobFilter,
): JobPage {
  const where: string[] = [];
  const values: SqlValue[] = [];
  const add = (condition: string, given: readonly SqlValue[]) => {
    where.push(condition);
    values.push(...given);
  };
  if (project !== undefined) add("project = ?", [project]);
  if (projects !== undefined) add(`project IN (${placesFor(projects)})`, projects);
  if (states !== undefined) add(`state IN (${placesFor(states)})`, states);
  for (const label of labels) {
    add("id IN (SELECT job_id FROM job_labels WHERE name = ? AND value = ?)", label);
  }
  if (before !== undefined) add("id < ?", [before]);
  const condition = where.length === 0 ? "" : `WHERE ${where.join(" AND ")}`;
  return readPage(db, { tail: `${condition} ORDER BY id DESC`, values, limit });
}

/** Returns at most `limit` jobs changed after `revision`, oldest change first, in their current state. */
export function jobsChangedSince(db: Database, revision: number, limit: number): readonly Job[] {
  const tail = "WHERE revision > ? ORDER BY revision";
  return readPage(db, { tail, values: [revision], limit }).jobs;
}

/** Counts the jobs in each state, by project. */
export function countsByState(db: Database): readonly StateCount[] {
  return db.all("SELECT project, state, count(*) AS n FROM jobs GROUP BY project, state")
    .map((row) => ({
      project: projectIn(row),
      state: stateIn(row),
      count: integer(row, "n"),
    }));
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

/** Returns the ended jobs, oldest end first: the candidates of retention. */
export function endedJobs(db: Database): readonly EndedJob[] {
  return db.all(
    `SELECT id, project, finished_at, (
       SELECT coalesce(sum(json_extract(outcome, '$.logBytes')), 0) FROM attempts WHERE job_id = id
     ) AS log_bytes
     FROM jobs WHERE finished_at IS NOT NULL ORDER BY finished_at, id`,
  ).map((row) => ({
    id: jobIdIn(row),
    project: projectIn(row),
    finishedAt: integer(row, "finished_at"),
    logBytes: integer(row, "log_bytes"),
  }));
}

/** @param tail What follows `FROM jobs`, with `?` for `values`. */
function readPage(
  db: Database,
  { tail, values, limit }: { tail: string; values: readonly SqlValue[]; limit: number },
): JobPage {
  const sizes = db.all(
    `SELECT coalesce((SELECT octet_length(spec) FROM large_specs WHERE job_id = jobs.id),
       octet_length(spec)) AS size FROM jobs ${tail} LIMIT ?`,
    ...values,
    limit + 1,
  );
  let count = 0;
  let bytes = 0;
  for (const row of sizes.slice(0, limit)) {
    bytes += integer(row, "size");
    if (count > 0 && bytes > PAGE_MAX_BYTES) break;
    count++;
  }
  const jobs = db.all(`SELECT ${JOB_COLUMNS} FROM jobs ${tail} LIMIT ?`, ...values, count)
    .map(parseJobRow);
  return { jobs, more: sizes.length > count };
}

function placesFor(values: readonly unknown[]): string {
  return values.map(() => "?").join(", ");
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
