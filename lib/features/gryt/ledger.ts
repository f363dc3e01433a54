/**
 * The tables of the Gryt-compatible API, and the record of its jobs: their
 * numbers at the main API and their verdicts.
 *
 * @module
 */
import { type JobId, parseJobId } from "@lib/core/ids.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { Database, Migration, SqlRow } from "@lib/foundations/store/database.ts";

/** Schema versions, in order; one that has shipped is never edited. */
export const GRYT_MIGRATIONS: readonly Migration[] = [
  `
CREATE TABLE gryt_jobs (
  job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
  gryt_id INTEGER NOT NULL,
  lease_ms INTEGER,
  judged_attempt INTEGER NOT NULL,
  success INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX gryt_jobs_by_id ON gryt_jobs (gryt_id, job_id);

CREATE INDEX gryt_jobs_unjudged ON gryt_jobs (job_id) WHERE judged_attempt = 0;

CREATE TABLE gryt_outbox (
  job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  url TEXT NOT NULL,
  kind TEXT NOT NULL,
  tries INTEGER NOT NULL,
  first_at INTEGER,
  next_at INTEGER NOT NULL,
  PRIMARY KEY (job_id, url)
) STRICT, WITHOUT ROWID;

CREATE INDEX gryt_outbox_by_time ON gryt_outbox (next_at);

CREATE TABLE gryt_totals (
  result TEXT PRIMARY KEY,
  jobs INTEGER NOT NULL,
  seconds REAL NOT NULL
) STRICT, WITHOUT ROWID;
`,
];

/** A job and its number at the main API. */
export interface GrytEntry {
  readonly jobId: JobId;
  readonly grytId: number;
}

/** A job that the main API has leased to this runner. */
export interface LeasedEntry extends GrytEntry {
  readonly leaseMs: number;
}

/** The record of Gryt jobs. */
export class GrytLedger {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Records a job, in the transaction that stores it; only pulled jobs have a lease. */
  record({ jobId, grytId, leaseMs }: GrytEntry & { readonly leaseMs?: number }): void {
    this.#db.run(
      "INSERT INTO gryt_jobs (job_id, gryt_id, lease_ms, judged_attempt) VALUES (?, ?, ?, 0)",
      jobId,
      grytId,
      leaseMs ?? null,
    );
  }

  /** Returns the latest job of a number. */
  latest(grytId: number): JobId | undefined {
    return this.#db.all(
      "SELECT job_id FROM gryt_jobs WHERE gryt_id = ? ORDER BY job_id DESC LIMIT 1",
      grytId,
    ).map(jobIdOf)[0];
  }

  /** Returns the job of a number that has not ended. */
  open(grytId: number): JobId | undefined {
    return this.#db.all(
      `SELECT job_id FROM gryt_jobs JOIN jobs ON jobs.id = job_id
       WHERE gryt_id = ? AND finished_at IS NULL ORDER BY job_id DESC LIMIT 1`,
      grytId,
    ).map(jobIdOf)[0];
  }

  /** Returns the number of a job; `undefined` if it did not come through this API. */
  grytIdOf(jobId: JobId): number | undefined {
    const row = this.#db.first("SELECT gryt_id FROM gryt_jobs WHERE job_id = ?", jobId);
    return row === undefined ? undefined : numberOf(row, "gryt_id");
  }

  /** Returns the pulled jobs that have not ended. */
  leased(): readonly LeasedEntry[] {
    return this.#db.all(
      `SELECT job_id, gryt_id, lease_ms FROM jobs INDEXED BY jobs_in_state
       CROSS JOIN gryt_jobs ON jobs.id = job_id
       WHERE state IN ('queued', 'starting', 'running') AND lease_ms IS NOT NULL`,
    ).map((row) => ({ ...entryOf(row), leaseMs: numberOf(row, "lease_ms") }));
  }

  /** Returns ended jobs without a verdict. */
  withoutVerdict(limit: number): readonly GrytEntry[] {
    return this.#db.all(
      `SELECT job_id, gryt_id FROM gryt_jobs JOIN jobs ON jobs.id = job_id
       WHERE judged_attempt = 0 AND finished_at IS NOT NULL LIMIT ?`,
      limit,
    ).map(entryOf);
  }

  /** Returns whether an ended job succeeded; `undefined` if its latest attempt has no verdict. */
  verdict(job: Job): boolean | undefined {
    const row = this.#db.first(
      "SELECT success FROM gryt_jobs WHERE job_id = ? AND judged_attempt = ?",
      job.id,
      settledAttempt(job),
    );
    const success = row?.["success"];
    return typeof success === "number" ? success === 1 : undefined;
  }

  /** Records a verdict and adds it to the totals; a second one for the attempt changes nothing. */
  settle(job: Job, { success, seconds }: { readonly success: boolean; readonly seconds: number }) {
    this.#db.transaction(() => {
      const changed = this.#db.run(
        `UPDATE gryt_jobs SET success = ?1, judged_attempt = ?2
         WHERE job_id = ?3 AND judged_attempt < ?2`,
        success ? 1 : 0,
        settledAttempt(job),
        job.id,
      );
      if (changed === 0) return;
      this.#db.run(
        `INSERT INTO gryt_totals (result, jobs, seconds) VALUES (?, 1, ?)
         ON CONFLICT DO UPDATE SET jobs = jobs + 1, seconds = seconds + excluded.seconds`,
        success ? "success" : "failure",
        seconds,
      );
    }, "relaxed");
  }

  /** Returns sums over all verdicts; they only grow, also across restarts. */
  totals() {
    const rows = this.#db.all("SELECT result, jobs, seconds FROM gryt_totals");
    const of = (result: string) => {
      const row = rows.find((one) => one["result"] === result);
      return row === undefined
        ? { jobs: 0, seconds: 0 }
        : { jobs: numberOf(row, "jobs"), seconds: numberOf(row, "seconds") };
    };
    return { succeeded: of("success"), failed: of("failure") };
  }
}

/** A job that is cancelled before its first attempt gets a verdict too. */
function settledAttempt({ attempt }: Job): number {
  return attempt + 1;
}

/** Reads the job of a row. */
export function entryOf(row: SqlRow): GrytEntry {
  return { jobId: jobIdOf(row), grytId: numberOf(row, "gryt_id") };
}

function jobIdOf(row: SqlRow): JobId {
  const value = row["job_id"];
  const id = typeof value === "string" ? parseJobId(value) : undefined;
  if (id !== undefined) return id;
  throw new CicdError("store_corrupt", `Cannot read a row of the database: job_id "${value}"`);
}

/** Reads a column that holds a number. */
export function numberOf(row: SqlRow, column: string): number {
  const value = row[column];
  if (typeof value === "number") return value;
  throw new CicdError("store_corrupt", `Cannot read a row of the database: ${column} "${value}"`);
}
