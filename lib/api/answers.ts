/**
 * Answers that several features use: jobs, and projects with their queues.
 *
 * Each answer has one schema, which types and documents what the route gives; a client reads by
 * what `reading()` makes of it.
 *
 * @module
 */
import * as v from "valibot";
import { END_REASONS, JOB_STATES } from "@lib/spine/jobs/model.ts";
import { limitsViewSchema } from "@lib/spine/spec/job_spec.ts";

/** Marks a field that runners of an earlier release do not send. */
export interface Added {
  readonly isAdded: true;
}

/** Marks a field as added later: routes must give it, clients accept its absence. */
export function added<Schema extends v.GenericSchema>(schema: Schema): Schema & Added {
  return { ...schema, isAdded: true };
}

const number = v.nullable(v.number());
const text = v.nullable(v.string());
const time = v.pipe(v.string(), v.isoTimestamp(), v.description("RFC 3339, UTC"));

const usageSchema = v.object({
  cpu_seconds: number,
  memory_peak_bytes: number,
  wall_seconds: number,
  cpu_throttled_seconds: number,
});

/** One attempt of a job. */
export const attemptSchema = v.object({
  number: v.number(),
  state: v.picklist(JOB_STATES),
  reason: v.nullable(v.picklist(END_REASONS)),
  message: text,
  exit_code: number,
  signal: text,
  started_at: v.nullable(time),
  finished_at: v.nullable(time),
  log_bytes: number,
  usage: usageSchema,
});

/** Each release may add limits. */
const limitEntries = Object.fromEntries(
  Object.entries(limitsViewSchema.entries).map(([name, schema]) => [name, added(schema)]),
);

/** A job. */
export const jobSchema = v.object({
  id: v.string(),
  project: v.string(),
  state: v.picklist(JOB_STATES),
  reason: v.pipe(
    v.nullable(v.picklist(END_REASONS)),
    v.description("Reason of the latest attempt's end"),
  ),
  message: v.pipe(text, v.description("The reason in words")),
  exit_code: number,
  signal: text,
  attempt: v.pipe(v.number(), v.description("Number of the latest attempt; 0 before the first")),
  created_at: time,
  started_at: v.nullable(time),
  finished_at: v.nullable(time),
  waiting: added(v.pipe(
    text,
    v.description("What the job waits for now, such as an agent that cannot start; null: nothing"),
  )),
  cancelling: v.pipe(v.boolean(), v.description("The job is being cancelled")),
  usage: usageSchema,
  limits: v.object(limitEntries),
  spec: v.pipe(
    v.looseObject({}),
    v.description("The request with all defaults; only the sizes of files"),
  ),
  queue_position: v.exactOptional(
    v.pipe(v.number(), v.description("Jobs of the project that start before this one")),
  ),
  attempts: v.exactOptional(v.array(attemptSchema)),
});

/** A page of jobs. */
export const jobPageSchema = v.object({
  jobs: v.array(jobSchema),
  next_cursor: v.pipe(text, v.description("Pass it as `cursor` to get the next page")),
});

/** A queue: of one project, or of all. */
export const queueSchema = v.object({
  mode: v.pipe(
    v.picklist(["open", "paused", "draining"]),
    v.description("paused: jobs are accepted but not started; draining: new jobs are refused"),
  ),
  queued: v.number(),
  in_flight: v.number(),
});

/** A project and its queue. */
export const projectSchema = v.object({
  project: v.string(),
  ...queueSchema.entries,
  max_running: v.number(),
});

/** All projects. */
export const projectListSchema = v.object({ projects: v.array(projectSchema) });
