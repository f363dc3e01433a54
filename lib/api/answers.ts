/**
 * Answers that several features use: jobs, and projects with their queues.
 *
 * Each answer has one schema, which types and documents what the route gives; a client reads by
 * what `reading()` makes of it.
 *
 * @module
 */
import * as v from "valibot";
import { JOB_ID_PATTERN } from "@lib/core/ids.ts";
import { projectName } from "@lib/core/value_types.ts";
import { CONTAINMENTS, END_REASONS, JOB_STATES } from "@lib/spine/jobs/model.ts";

/** Marks a field that runners of an earlier release do not send. */
export interface Added {
  readonly isAdded: true;
}

/** Marks a field as added later: routes must give it, clients accept its absence. */
export function added<Schema extends v.GenericSchema>(schema: Schema): Schema & Added {
  return { ...schema, isAdded: true };
}

/** A count, or a size in bytes. */
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));
/** An instant. */
export const time = v.pipe(v.string(), v.isoTimestamp(), v.description("RFC 3339, UTC"));
/** The id of a job. */
export const jobId = v.pipe(v.string(), v.metadata({ pattern: `^${JOB_ID_PATTERN}$` }));
/** The name of a project. */
export const project = v.pipe(v.string(), v.metadata(projectName().json));

const positive = v.nullable(v.pipe(v.number(), v.minValue(0)));
const text = v.nullable(v.string());
const exitCode = v.nullable(v.pipe(v.number(), v.integer()));

const usageSchema = v.object({
  cpu_seconds: positive,
  memory_peak_bytes: v.nullable(count),
  wall_seconds: positive,
  cpu_throttled_seconds: positive,
  containment: added(v.pipe(
    v.nullable(v.picklist(CONTAINMENTS)),
    v.description(
      "How processes were held together without systemd: by a PID namespace or by session and " +
        "variables; null: by a unit or container, or not yet known",
    ),
  )),
});

/** One attempt of a job. */
export const attemptSchema = v.object({
  number: count,
  state: v.picklist(JOB_STATES),
  reason: v.nullable(v.picklist(END_REASONS)),
  message: text,
  exit_code: exitCode,
  signal: text,
  started_at: v.nullable(time),
  finished_at: v.nullable(time),
  log_bytes: v.nullable(count),
  log_dropped_bytes: added(v.pipe(
    v.nullable(count),
    v.description("Bytes of its log dropped at `log_max`, at least; null: none, or not yet known"),
  )),
  usage: usageSchema,
});

/**
 * Makes the schema of a job.
 *
 * @param limits Of its limits. They are made from the table of a job's fields, which no client needs
 * to load: it reads any limits.
 */
export const jobSchemaOf = <Limits extends v.GenericSchema>(limits: Limits) =>
  v.object({
    id: jobId,
    project,
    state: v.picklist(JOB_STATES),
    reason: v.pipe(
      v.nullable(v.picklist(END_REASONS)),
      v.description("Reason of the latest attempt's end"),
    ),
    message: v.pipe(text, v.description("The reason in words")),
    exit_code: exitCode,
    signal: text,
    attempt: v.pipe(count, v.description("Number of the latest attempt; 0 before the first")),
    created_at: time,
    started_at: v.nullable(time),
    finished_at: v.nullable(time),
    commit: added(v.pipe(
      text,
      v.description("The full id of the commit that the latest attempt checked out"),
    )),
    waiting: added(v.pipe(
      text,
      v.description(
        "What the job waits for now, such as an agent that cannot start; null: nothing",
      ),
    )),
    held_until: added(v.pipe(
      v.nullable(time),
      v.description("Until when the place of a failed job is kept for people; null: it is not"),
    )),
    cancelling: v.pipe(v.boolean(), v.description("The job is being cancelled")),
    usage: usageSchema,
    limits,
    spec: v.pipe(
      v.looseObject({}),
      v.description("The request with all defaults; only the sizes of files"),
    ),
    queue_position: v.exactOptional(
      v.pipe(count, v.description("Jobs of the project that start before this one")),
    ),
    attempts: v.exactOptional(v.array(attemptSchema)),
  });

/** Makes the schema of a page of jobs. */
export const jobPageSchemaOf = <Job extends v.GenericSchema>(job: Job) =>
  v.object({
    jobs: v.array(job),
    next_cursor: v.pipe(
      v.nullable(jobId),
      v.description("Pass it as `cursor` to get the next page"),
    ),
  });

/** A queue: of one project, or of all. */
export const queueSchema = v.object({
  mode: v.pipe(
    v.picklist(["open", "paused", "draining"]),
    v.description("paused: jobs are accepted but not started; draining: new jobs are refused"),
  ),
  queued: count,
  in_flight: count,
});

/** A project and its queue. */
export const projectSchema = v.object({
  project,
  ...queueSchema.entries,
  max_running: count,
  agent_problem: added(v.pipe(
    text,
    v.description("Why its agent did not answer, or could not do its work, when last asked"),
  )),
});

/** All projects. */
export const projectListSchema = v.object({ projects: v.array(projectSchema) });
