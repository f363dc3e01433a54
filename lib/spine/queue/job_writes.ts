/**
 * The rows of jobs and attempts, as they are written.
 *
 * @module
 */
import type { ProjectName } from "@lib/core/ids.ts";
import { orNull, wholeOrNull } from "@lib/spine/queue/job_row.ts";
import { type AttemptOutcome, isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { JobEvent } from "@lib/spine/jobs/state_machine.ts";
import type { Database } from "@lib/foundations/store/database.ts";

/** What a new row holds beside the job. */
export interface NewRow {
  /** See `rankOf` of the store. */
  readonly rank: number;
  readonly sealedSecrets: Uint8Array | undefined;
}

/** Writes what an event did to the attempt it is about. */
export function recordAttempt(db: Database, before: Job, job: Job, event: JobEvent): void {
  if (event.kind === "claimed") {
    db.run(
      "INSERT INTO attempts (job_id, number, state, boot_id) VALUES (?, ?, 'starting', ?)",
      job.id,
      job.attempt,
      event.bootId,
    );
  } else if (event.kind === "started") {
    db.run(
      "UPDATE attempts SET state = 'running', started_at = ? WHERE job_id = ? AND number = ?",
      wholeOrNull(event.at),
      job.id,
      job.attempt,
    );
  } else if (event.kind === "ended") {
    db.run(
      `UPDATE attempts SET state = ?, started_at = coalesce(?, started_at), outcome = ?
       WHERE job_id = ? AND number = ?`,
      event.outcome.state,
      wholeOrNull(event.outcome.startedAt),
      JSON.stringify(event.outcome),
      job.id,
      before.attempt,
    );
    addToTotals(db, job.spec.project, event.outcome);
  }
}

function addToTotals(db: Database, project: ProjectName, outcome: AttemptOutcome): void {
  db.run(
    `INSERT INTO totals VALUES (?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET
       attempts = attempts + 1, wall_seconds = wall_seconds + excluded.wall_seconds,
       cpu_seconds = cpu_seconds + excluded.cpu_seconds, log_bytes = log_bytes + excluded.log_bytes`,
    project,
    outcome.state,
    outcome.reason,
    outcome.usage.wallSeconds ?? 0,
    outcome.usage.cpuSeconds ?? 0,
    outcome.logBytes,
  );
}

/** Writes a new job. */
export function insertRow(db: Database, job: Job, { rank, sealedSecrets }: NewRow): void {
  db.run(
    `INSERT INTO jobs (id, project, state, attempt, retry_base, spec, sealed_secrets, rank,
       not_before, concurrency_group, usage, created_at, revision)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    job.id,
    job.spec.project,
    job.state,
    job.attempt,
    job.retryBase,
    JSON.stringify(job.spec),
    sealedSecrets ?? null,
    rank,
    wholeOrNull(job.notBefore),
    orNull(job.spec.concurrencyGroup),
    JSON.stringify(job.usage),
    job.createdAt,
    job.revision,
  );
}

/** Writes a job that has changed. */
export function updateRow(db: Database, job: Job): void {
  db.run(
    `UPDATE jobs SET state = ?, attempt = ?, retry_base = ?, not_before = ?, reason = ?,
       message = ?, exit_code = ?, signal = ?, usage = ?, started_at = ?, finished_at = ?,
       cancel = ?, revision = ? WHERE id = ?`,
    job.state,
    job.attempt,
    job.retryBase,
    wholeOrNull(job.notBefore),
    orNull(job.reason),
    orNull(job.message),
    orNull(job.exitCode),
    orNull(job.signal),
    JSON.stringify(job.usage),
    wholeOrNull(job.startedAt),
    wholeOrNull(isTerminal(job.state) ? job.finishedAt : undefined),
    job.cancel === undefined ? null : JSON.stringify(job.cancel),
    job.revision,
    job.id,
  );
}
