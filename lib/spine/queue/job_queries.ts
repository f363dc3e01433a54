/**
 * What lists, figures and retention read from the store: jobs by the page, counts, sums.
 *
 * @module
 */
import type { JobId, ProjectName } from "@lib/core/ids.ts";
import {
  integer,
  JOB_COLUMNS,
  parseJobRow,
  parseState,
  requireJobId,
  requireProject,
  text,
} from "@lib/spine/queue/job_row.ts";
import type { Job, JobState } from "@lib/spine/jobs/model.ts";
import type { Database, SqlValue } from "@lib/foundations/store/database.ts";

/** Which jobs to list; newest first. */
export interface JobFilter {
  readonly project?: ProjectName;
  /** Only jobs of these. */
  readonly projects?: readonly ProjectName[];
  readonly states?: readonly JobState[];
  /** Only jobs older than this one. */
  readonly before?: JobId;
  readonly limit: number;
}

/** Part of a list of jobs. */
export interface JobPage {
  readonly jobs: readonly Job[];
  /** Whether the list goes on after these. */
  readonly more: boolean;
}

/** How many jobs of a project are in a state. */
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

/** Sums over the ended attempts of a project that ended alike. */
export interface AttemptTotals {
  readonly project: string;
  readonly state: string;
  readonly reason: string;
  readonly attempts: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly logBytes: number;
}

/** Bytes of specs in one page of a list. */
const PAGE_MAX_BYTES = 8 * 1024 * 1024;

/** Jobs whose ids begin with `prefix`; of several, two. @param projects Only jobs of these. */
export function idsWithPrefix(
  db: Database,
  prefix: string,
  projects?: readonly ProjectName[],
): readonly JobId[] {
  const among = projects === undefined ? "" : `AND project IN (${placesFor(projects)})`;
  return db.all(
    `SELECT id FROM jobs WHERE id >= ? AND id < ? ${among} ORDER BY id LIMIT 2`,
    prefix,
    `${prefix}g`,
    ...projects ?? [],
  ).map((row) => requireJobId(text(row, "id")));
}

/** At most `limit` jobs, fewer if they are large. */
export function listJobs(db: Database, filter: JobFilter): JobPage {
  const where: string[] = [];
  const values: SqlValue[] = [];
  if (filter.project !== undefined) {
    where.push("project = ?");
    values.push(filter.project);
  }
  if (filter.projects !== undefined) {
    where.push(`project IN (${placesFor(filter.projects)})`);
    values.push(...filter.projects);
  }
  if (filter.states !== undefined) {
    where.push(`state IN (${placesFor(filter.states)})`);
    values.push(...filter.states);
  }
  if (filter.before !== undefined) {
    where.push("id < ?");
    values.push(filter.before);
  }
  const condition = where.length === 0 ? "" : `WHERE ${where.join(" AND ")}`;
  return readPage(db, { tail: `${condition} ORDER BY id DESC`, values, limit: filter.limit });
}

/**
 * Jobs changed after `revision`, oldest change first, each as it stands now; at most `limit`,
 * fewer if they are large.
 */
export function jobsChangedSince(
  db: Database,
  revision: number,
  limit: number,
): readonly Job[] {
  return readPage(db, {
    tail: "WHERE revision > ? ORDER BY revision",
    values: [revision],
    limit,
  }).jobs;
}

/** How many jobs are in each state, by project. */
export function countsByState(db: Database): readonly StateCount[] {
  return db.all("SELECT project, state, count(*) AS n FROM jobs GROUP BY project, state")
    .map((row) => ({
      project: requireProject(text(row, "project")),
      state: parseState(text(row, "state")),
      count: integer(row, "n"),
    }));
}

/** Sums over all attempts that ever ended; they only grow, also across restarts. */
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

/** Ended jobs, the oldest end first: what retention chooses from. */
export function endedJobs(db: Database): readonly EndedJob[] {
  return db.all(
    `SELECT id, project, finished_at, (
       SELECT coalesce(sum(json_extract(outcome, '$.logBytes')), 0) FROM attempts WHERE job_id = id
     ) AS log_bytes
     FROM jobs WHERE finished_at IS NOT NULL ORDER BY finished_at, id`,
  ).map((row) => ({
    id: requireJobId(text(row, "id")),
    project: requireProject(text(row, "project")),
    finishedAt: integer(row, "finished_at"),
    logBytes: integer(row, "log_bytes"),
  }));
}

interface PageQuery {
  /** What follows `FROM jobs`, values as `?`. */
  readonly tail: string;
  readonly values: readonly SqlValue[];
  readonly limit: number;
}

/** A job may hold megabytes of script, so a page is bounded by its bytes too. */
function readPage(db: Database, { tail, values, limit }: PageQuery): JobPage {
  const sizes = db.all(
    `SELECT octet_length(spec) AS size FROM jobs ${tail} LIMIT ?`,
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
