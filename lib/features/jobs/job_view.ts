/**
 * Jobs as clients see them: snake_case, RFC 3339 times, no secrets.
 *
 * @module
 */
import type * as v from "valibot";
import { toRfc3339 } from "@lib/core/clock.ts";
import type { attemptSchema } from "@lib/api/answers.ts";
import type { jobSchema } from "@lib/features/jobs/answers.ts";
import { type Attempt, isTerminal, type Job, type Usage } from "@lib/spine/jobs/model.ts";
import { toLimitsView, toSpecView } from "@lib/spine/spec/job_spec.ts";

/** A job as clients see it. */
export type JobView = v.InferOutput<typeof jobSchema>;
type AttemptView = v.InferOutput<typeof attemptSchema>;

/** Converts a job; the details are for requests by id. */
export function toJobView(
  job: Job,
  details: {
    readonly waiting?: string | undefined;
    /** A hold that has passed by then is none. @default {0} */
    readonly now?: number;
    readonly queuePosition?: number;
    readonly attempts?: readonly Attempt[];
  } = {},
): JobView {
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
    commit: job.commit ?? null,
    waiting: details.waiting ?? null,
    held_until: (job.heldUntil ?? 0) > (details.now ?? 0) ? timeOrNull(job.heldUntil) : null,
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
    log_dropped_bytes: outcome?.logDroppedBytes ?? null,
    usage: toUsageView(outcome?.usage ?? {}),
  };
}

function toUsageView(usage: Usage): JobView["usage"] {
  return {
    cpu_seconds: usage.cpuSeconds ?? null,
    memory_peak_bytes: usage.memoryPeakBytes ?? null,
    wall_seconds: usage.wallSeconds ?? null,
    cpu_throttled_seconds: usage.cpuThrottledSeconds ?? null,
    containment: usage.containment ?? null,
  };
}

function timeOrNull(epochMs: number | undefined): string | null {
  return epochMs === undefined ? null : toRfc3339(epochMs);
}
