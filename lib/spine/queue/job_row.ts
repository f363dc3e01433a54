/**
 * Jobs and attempts to and from their rows.
 *
 * @module
 */
import { type JobId, parseJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { CicdError } from "@lib/core/errors.ts";
import {
  type Attempt,
  type AttemptOutcome,
  type CancelRequest,
  END_REASONS,
  type EndReason,
  type Job,
  JOB_STATES,
  type JobState,
  type Usage,
} from "@lib/spine/jobs/model.ts";
import { type JobSpec, readStoredSpec } from "@lib/spine/spec/job_spec.ts";
import type { SqlRow, SqlValue } from "@lib/foundations/store/database.ts";

/** Columns of `jobs` that make a {@linkcode Job}. */
export const JOB_COLUMNS = "id, state, attempt, retry_base, spec, not_before, reason, message, " +
  "exit_code, signal, usage, created_at, started_at, finished_at, cancel, revision";

/** Reads a job's row. */
export function parseJobRow(row: SqlRow): Job {
  const id = parseJobId(text(row, "id"));
  if (id === undefined) throw damaged(`id "${row["id"]}"`);
  const reason = optionalText(row, "reason");
  return {
    id,
    state: parseState(text(row, "state")),
    attempt: integer(row, "attempt"),
    retryBase: integer(row, "retry_base"),
    spec: specOf(row),
    notBefore: integer(row, "not_before"),
    usage: json<Usage>(row, "usage"),
    createdAt: integer(row, "created_at"),
    revision: integer(row, "revision"),
    ...(reason === undefined ? {} : { reason: parseReason(reason) }),
    ...present("message", optionalText(row, "message")),
    ...present("exitCode", optionalInteger(row, "exit_code")),
    ...present("signal", optionalText(row, "signal")),
    ...present("startedAt", optionalInteger(row, "started_at")),
    ...present("finishedAt", optionalInteger(row, "finished_at")),
    ...(row["cancel"] === null ? {} : { cancel: json<CancelRequest>(row, "cancel") }),
  };
}

/** Reads an attempt's row. */
export function parseAttemptRow(row: SqlRow): Attempt {
  const jobId = parseJobId(text(row, "job_id"));
  if (jobId === undefined) throw damaged(`job_id "${row["job_id"]}"`);
  return {
    jobId,
    number: integer(row, "number"),
    state: parseState(text(row, "state")),
    ...present("startedAt", optionalInteger(row, "started_at")),
    ...(row["outcome"] === null ? {} : { outcome: json<AttemptOutcome>(row, "outcome") }),
  };
}

/** Reads a column that holds bytes or nothing. */
export function optionalBytes(row: SqlRow, column: string): Uint8Array | undefined {
  const value = row[column];
  return value instanceof Uint8Array ? value : undefined;
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

/** A time for a column; the columns of times take whole milliseconds only. */
export function wholeOrNull(value: number | undefined): SqlValue {
  return value === undefined ? null : Math.round(value);
}

/** A value for a nullable column. */
export function orNull(value: string | number | undefined): SqlValue {
  return value ?? null;
}

function optionalText(row: SqlRow, column: string): string | undefined {
  return row[column] === null ? undefined : text(row, column);
}

function optionalInteger(row: SqlRow, column: string): number | undefined {
  return row[column] === null ? undefined : integer(row, column);
}

/** A row of an older release lacks the fields of this one, which gives them their defaults. */
function specOf(row: SqlRow): JobSpec {
  const spec = readStoredSpec(json<unknown>(row, "spec"));
  if (spec === undefined) throw damaged("spec");
  return spec;
}

/** The store is the only writer of its JSON columns: what is read back was typed when written. */
function json<T>(row: SqlRow, column: string): T {
  try {
    return JSON.parse(text(row, column)) as T;
  } catch (error) {
    if (error instanceof CicdError) throw error;
    throw damaged(column);
  }
}

/** @throws {CicdError} `store_corrupt` */
export function parseState(value: string): JobState {
  const state = JOB_STATES.find((known) => known === value);
  if (state === undefined) throw damaged(`state "${value}"`);
  return state;
}

function parseReason(value: string): EndReason {
  const reason = END_REASONS.find((known) => known === value);
  if (reason === undefined) throw damaged(`reason "${value}"`);
  return reason;
}

function present<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : { [key]: value } as { [P in K]?: V };
}

function damaged(what: string): CicdError {
  return new CicdError("store_corrupt", `Cannot read a row of the database: unexpected ${what}`);
}

/** @throws {CicdError} `store_corrupt` */
export function requireJobId(value: string): JobId {
  const id = parseJobId(value);
  if (id === undefined) {
    throw new CicdError("store_corrupt", `Cannot read a row of the database: id "${value}"`);
  }
  return id;
}

/** @throws {CicdError} `store_corrupt` */
export function requireProject(value: string): ProjectName {
  const project = parseProjectName(value);
  if (project === undefined) {
    throw new CicdError("store_corrupt", `Cannot read a row of the database: project "${value}"`);
  }
  return project;
}
