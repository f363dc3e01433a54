/**
 * Reads and writes the rows of jobs and attempts.
 *
 * @module
 */
import { parseJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { CicdError } from "@lib/core/errors.ts";
import {
  type Attempt,
  type AttemptOutcome,
  type CancelRequest,
  END_REASONS,
  isTerminal,
  type Job,
  JOB_STATES,
  type JobState,
  type Usage,
} from "@lib/spine/jobs/model.ts";
import type { JobEvent } from "@lib/spine/jobs/state_machine.ts";
import { LARGE_SPEC_BYTES } from "@lib/spine/queue/job_schema.ts";
import { readStoredSpec } from "@lib/spine/spec/job_spec.ts";
import type { Database, SqlRow, SqlValue } from "@lib/foundations/store/database.ts";

/** Columns of `jobs` that make a {@linkcode Job}. */
export const JOB_COLUMNS = "id, state, attempt, retry_base, " +
  "coalesce((SELECT spec FROM large_specs WHERE job_id = jobs.id), spec) AS spec, " +
  "not_before, reason, message, exit_code, signal, usage, created_at, started_at, finished_at, " +
  "commit_sha, held_until, cancel, revision";

/** Reads a job's row. */
export function parseJobRow(row: SqlRow): Job {
  // A row of an older release lacks fields of this one, which gives them their defaults.
  const spec = readStoredSpec(json<unknown>(row, "spec"));
  if (spec === undefined) throw damaged("spec");
  const reason = row["reason"] === null ? undefined : parsed(row, "reason", parseReason);
  return {
    id: jobIdIn(row),
    state: stateIn(row),
    attempt: integer(row, "attempt"),
    retryBase: integer(row, "retry_base"),
    spec,
    notBefore: integer(row, "not_before"),
    usage: json<Usage>(row, "usage"),
    createdAt: integer(row, "created_at"),
    revision: integer(row, "revision"),
    ...present("reason", reason),
    ...present("message", optional(row, "message", text)),
    ...present("exitCode", optional(row, "exit_code", integer)),
    ...present("signal", optional(row, "signal", text)),
    ...present("startedAt", optional(row, "started_at", integer)),
    ...present("finishedAt", optional(row, "finished_at", integer)),
    ...present("commit", optional(row, "commit_sha", text)),
    ...present("heldUntil", optional(row, "held_until", integer)),
    ...present("cancel", optional(row, "cancel", json<CancelRequest>)),
  };
}

/** Reads an attempt's row. */
export function parseAttemptRow(row: SqlRow): Attempt {
  return {
    jobId: jobIdIn(row, "job_id"),
    number: integer(row, "number"),
    state: stateIn(row),
    ...present("startedAt", optional(row, "started_at", integer)),
    ...present("outcome", optional(row, "outcome", json<AttemptOutcome>)),
  };
}

/** Reads a column that holds a number. */
export function integer(row: SqlRow, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw damaged(`${column} "${value}"`);
  return value;
}

/** Reads a column that holds text. */
export function text(row: SqlRow, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw damaged(`${column} "${value}"`);
  return value;
}

/** Reads a column that holds a job's id. */
export const jobIdIn = (row: SqlRow, column = "id") => parsed(row, column, parseJobId);

/** Reads the column `project`. */
export const projectIn = (row: SqlRow) => parsed(row, "project", parseProjectName);

/** Reads the column `state`. */
export const stateIn = (row: SqlRow) => parsed(row, "state", parseState);

/** Returns the number that a query selects as `n`; `undefined` if that is NULL. */
export function numberOf(db: Database, sql: string, ...values: SqlValue[]): number | undefined {
  const number = db.first(sql, ...values)?.["n"];
  return typeof number === "number" ? number : undefined;
}

/** Writes the effect of an event on the attempt it is about. */
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
export function insertRow(
  db: Database,
  job: Job,
  { rank, sealedSecrets }: { rank: number; sealedSecrets: Uint8Array | undefined },
): void {
  const spec = JSON.stringify(job.spec);
  const isLarge = new TextEncoder().encode(spec).length > LARGE_SPEC_BYTES;
  db.run(
    `INSERT INTO jobs (id, project, state, attempt, retry_base, spec, sealed_secrets, rank,
       not_before, concurrency_group, usage, created_at, revision)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    job.id,
    job.spec.project,
    job.state,
    job.attempt,
    job.retryBase,
    isLarge ? JSON.stringify(inQueries(job.spec)) : spec,
    sealedSecrets ?? null,
    rank,
    wholeOrNull(job.notBefore),
    job.spec.concurrencyGroup ?? null,
    JSON.stringify(job.usage),
    job.createdAt,
    job.revision,
  );
  if (isLarge) db.run("INSERT INTO large_specs (job_id, spec) VALUES (?, ?)", job.id, spec);
}

/** Returns the part of a spec that the statements of this directory read. */
function inQueries({ labels, retries }: Job["spec"]): Pick<Job["spec"], "labels" | "retries"> {
  return { labels, retries };
}

/** Writes a changed job. */
export function updateRow(db: Database, job: Job): void {
  db.run(
    `UPDATE jobs SET state = ?, attempt = ?, retry_base = ?, not_before = ?, reason = ?,
       message = ?, exit_code = ?, signal = ?, usage = ?, started_at = ?, finished_at = ?,
       commit_sha = ?, held_until = ?, cancel = ?, revision = ? WHERE id = ?`,
    job.state,
    job.attempt,
    job.retryBase,
    wholeOrNull(job.notBefore),
    job.reason ?? null,
    job.message ?? null,
    job.exitCode ?? null,
    job.signal ?? null,
    JSON.stringify(job.usage),
    wholeOrNull(job.startedAt),
    wholeOrNull(isTerminal(job.state) ? job.finishedAt : undefined),
    job.commit ?? null,
    wholeOrNull(job.heldUntil),
    job.cancel === undefined ? null : JSON.stringify(job.cancel),
    job.revision,
    job.id,
  );
}

/** Columns of times take whole milliseconds only. */
function wholeOrNull(value: number | undefined): SqlValue {
  return value === undefined ? null : Math.round(value);
}

function optional<T>(
  row: SqlRow,
  column: string,
  read: (row: SqlRow, column: string) => T,
): T | undefined {
  return row[column] === null ? undefined : read(row, column);
}

function parsed<T>(row: SqlRow, column: string, parse: (text: string) => T | undefined): T {
  const value = parse(text(row, column));
  if (value === undefined) throw damaged(`${column} "${row[column]}"`);
  return value;
}

/** The store is the only writer of its JSON columns: their values had these types when written. */
function json<T>(row: SqlRow, column: string): T {
  try {
    return JSON.parse(text(row, column)) as T;
  } catch (error) {
    if (error instanceof CicdError) throw error;
    throw damaged(column);
  }
}

function parseState(value: string): JobState | undefined {
  return JOB_STATES.find((known) => known === value);
}

function parseReason(value: string) {
  return END_REASONS.find((known) => known === value);
}

function present<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : { [key]: value } as { [P in K]?: V };
}

function damaged(what: string): CicdError {
  return new CicdError("store_corrupt", `Cannot read a row of the database: unexpected ${what}`);
}
