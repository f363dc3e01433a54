/**
 * What the database knows of jobs that came through the Gryt-compatible API:
 * their numbers at the main API, and how they were judged.
 *
 * @module
 */
import { type JobId, parseJobId } from "@lib/core/ids.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { Database, SqlRow } from "@lib/foundations/store/database.ts";

/** A job and its number. */
export interface GrytEntry {
  readonly jobId: JobId;
  readonly grytId: number;
}

/** A job that was taken from the main API for a time. */
export interface LeasedEntry extends GrytEntry {
  readonly leaseMs: number;
}

/** Sums over all jobs that were judged. */
export interface GrytTotals {
  readonly succeeded: { readonly jobs: number; readonly seconds: number };
  readonly failed: { readonly jobs: number; readonly seconds: number };
}

/** The record of Gryt jobs. */
export class GrytLedger {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Records a job; to be called in the transaction that stores it.
   *
   * @param entry `leaseMs`: for how long at a time the main API leaves a pulled job to this runner.
   */
  record({ jobId, grytId, leaseMs }: GrytEntry & { readonly leaseMs?: number }): void {
    this.#db.run(
      "INSERT INTO gryt_jobs (job_id, gryt_id, lease_ms, judged_attempt) VALUES (?, ?, ?, 0)",
      jobId,
      grytId,
      leaseMs ?? null,
    );
  }

  /** The latest job of a number. */
  latest(grytId: number): JobId | undefined {
    const row = this.#db.first(
      "SELECT job_id FROM gryt_jobs WHERE gryt_id = ? ORDER BY job_id DESC LIMIT 1",
      grytId,
    );
    return row === undefined ? undefined : jobIdOf(row);
  }

  /** The job of a number that has not ended. */
  open(grytId: number): JobId | undefined {
    const row = this.#db.first(
      `SELECT job_id FROM gryt_jobs JOIN jobs ON jobs.id = job_id
       WHERE gryt_id = ? AND finished_at IS NULL ORDER BY job_id DESC LIMIT 1`,
      grytId,
    );
    return row === undefined ? undefined : jobIdOf(row);
  }

  /** The number of a job; `undefined` if it did not come through this API. */
  grytIdOf(jobId: JobId): number | undefined {
    const row = this.#db.first("SELECT gryt_id FROM gryt_jobs WHERE job_id = ?", jobId);
    return row === undefined ? undefined : numberOf(row, "gryt_id");
  }

  /** Jobs that were pulled and have not ended. */
  leased(): readonly LeasedEntry[] {
    return this.#db.all(
      `SELECT job_id, gryt_id, lease_ms FROM jobs JOIN gryt_jobs ON jobs.id = job_id
       WHERE state IN ('queued', 'starting', 'running') AND lease_ms IS NOT NULL`,
    ).map((row) => ({
      jobId: jobIdOf(row),
      grytId: numberOf(row, "gryt_id"),
      leaseMs: numberOf(row, "lease_ms"),
    }));
  }

  /** Ended jobs that nobody has judged yet. */
  unjudged(limit: number): readonly JobId[] {
    return this.#db.all(
      `SELECT job_id FROM gryt_jobs JOIN jobs ON jobs.id = job_id
       WHERE judged_attempt = 0 AND finished_at IS NOT NULL LIMIT ?`,
      limit,
    ).map(jobIdOf);
  }

  /** Whether an ended job succeeded; `undefined` if its latest attempt was not judged. */
  judgement(job: Job): boolean | undefined {
    const row = this.#db.first(
      "SELECT success FROM gryt_jobs WHERE job_id = ? AND judged_attempt = ?",
      job.id,
      judgedAttempt(job),
    );
    const success = row?.["success"];
    return typeof success === "number" ? success === 1 : undefined;
  }

  /** Records a judgement and adds it to the totals; the same one again changes nothing. */
  judge(job: Job, { success, seconds }: { readonly success: boolean; readonly seconds: number }) {
    this.#db.transaction(() => {
      const changed = this.#db.run(
        "UPDATE gryt_jobs SET success = ?, judged_attempt = ? WHERE job_id = ? AND judged_attempt < ?",
        success ? 1 : 0,
        judgedAttempt(job),
        job.id,
        judgedAttempt(job),
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

  /** Sums that only grow, also across restarts. */
  totals(): GrytTotals {
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

/** A job that is cancelled before its first attempt is judged too. */
function judgedAttempt({ attempt }: Job): number {
  return attempt + 1;
}

/** Reads the id of a row. */
export function jobIdOf(row: SqlRow): JobId {
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
