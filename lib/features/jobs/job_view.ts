/**
 * Jobs as clients see them: snake_case, RFC 3339 times, no secrets.
 *
 * @module
 */
import * as v from "valibot";
import { toRfc3339 } from "@lib/core/clock.ts";
import {
  type Attempt,
  END_REASONS,
  isTerminal,
  type Job,
  JOB_STATES,
  type Usage,
} from "@lib/spine/jobs/model.ts";
import { limitsViewSchema, toLimitsView, toSpecView } from "@lib/spine/spec/job_spec.ts";

const time = v.pipe(v.string(), v.isoTimestamp(), v.description("RFC 3339, UTC"));

const usageSchema = v.object({
  cpu_seconds: v.nullable(v.number()),
  memory_peak_bytes: v.nullable(v.number()),
  wall_seconds: v.nullable(v.number()),
  cpu_throttled_seconds: v.nullable(v.number()),
});

/** One attempt, as shown. */
export const attemptViewSchema = v.object({
  number: v.number(),
  state: v.picklist(JOB_STATES),
  reason: v.nullable(v.picklist(END_REASONS)),
  message: v.nullable(v.string()),
  exit_code: v.nullable(v.number()),
  signal: v.nullable(v.string()),
  started_at: v.nullable(time),
  finished_at: v.nullable(time),
  log_bytes: v.nullable(v.number()),
  usage: usageSchema,
});

/** A job, as shown. */
export const jobViewSchema = v.object({
  id: v.string(),
  project: v.string(),
  state: v.picklist(JOB_STATES),
  reason: v.pipe(
    v.nullable(v.picklist(END_REASONS)),
    v.description("Why the latest attempt ended as it did"),
  ),
  message: v.pipe(v.nullable(v.string()), v.description("The reason in words")),
  exit_code: v.nullable(v.number()),
  signal: v.nullable(v.string()),
  attempt: v.pipe(v.number(), v.description("Number of the latest attempt; 0 before the first")),
  created_at: time,
  started_at: v.nullable(time),
  finished_at: v.nullable(time),
  cancelling: v.pipe(v.boolean(), v.description("A cancel is under way")),
  usage: usageSchema,
  limits: limitsViewSchema,
  spec: v.pipe(
    v.looseObject({}),
    v.description("As in the request, every default filled in; of files only the sizes"),
  ),
  queue_position: v.exactOptional(
    v.pipe(v.number(), v.description("Jobs of the project that start before this one")),
  ),
  attempts: v.exactOptional(v.array(attemptViewSchema)),
});

/** A job, as shown. */
export type JobView = v.InferOutput<typeof jobViewSchema>;
/** An attempt, as shown. */
export type AttemptView = v.InferOutput<typeof attemptViewSchema>;

/** What only a job asked for by its id is shown with. */
export interface JobDetails {
  readonly queuePosition?: number;
  readonly attempts?: readonly Attempt[];
}

/** Shows a job. */
export function toJobView(job: Job, details: JobDetails = {}): JobView {
  return {
    id: job.id,
    project: job.spec.project,
    state: job.state,
    reason: job.reason ?? null,
    message: job.message ?? null,
    exit_code: job.exitCode ?? null,
    signal: job.signal ?? null,
    attempt: job.attempt,
    created_at: toRfc3339(job.createdAt),
    started_at: timeOrNull(job.startedAt),
    finished_at: timeOrNull(isTerminal(job.state) ? job.finishedAt : undefined),
    cancelling: job.cancel !== undefined,
    usage: toUsageView(job.usage),
    limits: toLimitsView(job.spec),
    spec: toSpecView(job.spec),
    ...(details.queuePosition === undefined ? {} : { queue_position: details.queuePosition }),
    ...(details.attempts === undefined ? {} : { attempts: details.attempts.map(toAttemptView) }),
  };
}

function toAttemptView({ number, state, startedAt, outcome }: Attempt): AttemptView {
  return {
    number,
    state,
    reason: outcome?.reason ?? null,
    message: outcome?.message ?? null,
    exit_code: outcome?.exitCode ?? null,
    signal: outcome?.signal ?? null,
    started_at: timeOrNull(startedAt),
    finished_at: timeOrNull(outcome?.finishedAt),
    log_bytes: outcome?.logBytes ?? null,
    usage: toUsageView(outcome?.usage ?? {}),
  };
}

function toUsageView(usage: Usage): JobView["usage"] {
  return {
    cpu_seconds: usage.cpuSeconds ?? null,
    memory_peak_bytes: usage.memoryPeakBytes ?? null,
    wall_seconds: usage.wallSeconds ?? null,
    cpu_throttled_seconds: usage.cpuThrottledSeconds ?? null,
  };
}

function timeOrNull(epochMs: number | undefined): string | null {
  return epochMs === undefined ? null : toRfc3339(epochMs);
}
