/**
 * Makes the spans of an attempt, in the JSON of OTLP, named as OpenTelemetry names the parts of CI/CD.
 *
 * @module
 */
import { parseTraceparent, spanIdOf, type SpanName, traceOf } from "@lib/core/trace_context.ts";
import type { AttemptOutcome, Job } from "@lib/spine/jobs/model.ts";

/** An ended attempt and its times, in milliseconds since the epoch. */
export interface AttemptTimes {
  readonly number: number;
  readonly outcome: AttemptOutcome;
  /** When it could have been claimed. */
  readonly queuedAt: number;
  /** `undefined`: the runner was not there. */
  readonly claimedAt: number | undefined;
  /** When the agent had taken it. */
  readonly acceptedAt: number | undefined;
  /** When its end was on record. */
  readonly settledAt: number;
}

type Value = string | number | undefined;

/** A span in the JSON of OTLP. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly Attribute[];
  readonly status: { readonly code: number; readonly message?: string };
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue: string } | { readonly intValue: string };
}

const INTERNAL = 1;
const SERVER = 2;
const OK = 1;
const ERROR = 2;

/** Makes the spans; that of the whole job with the attempt that ended it. */
export function attemptSpans(job: Job, times: AttemptTimes): readonly Span[] {
  const { number, outcome, settledAt } = times;
  const { finishedAt, startedAt } = outcome;
  const claimedAt = times.claimedAt ?? startedAt ?? finishedAt;
  const begun = startedAt ?? finishedAt;
  const acceptedAt = within(times.acceptedAt ?? begun, claimedAt, begun);
  const own = attributes(job, outcome);
  const task = {
    "cicd.pipeline.task.name": `attempt ${number}`,
    "cicd.pipeline.task.run.id": `${job.id}/${number}`,
    "cicd.pipeline.task.run.result": resultOf(outcome),
  };
  const make = (
    name: SpanName,
    from: number,
    to: number,
    more: Readonly<Record<string, Value>>,
  ) => span(job, name, { number, from, to, outcome, more: { ...own, ...more } });
  const spans = [
    make("queued", times.queuedAt, claimedAt, { "cicd.pipeline.run.state": "pending" }),
    make("attempt", claimedAt, settledAt, task),
    make("claimed", claimedAt, acceptedAt, task),
    make("setup", acceptedAt, begun, { ...task, "cicd.pipeline.run.state": "executing" }),
    ...(startedAt === undefined ? [] : [
      make("run", startedAt, finishedAt, {
        ...task,
        "cicd.pipeline.run.state": "executing",
        "process.exit.code": outcome.exitCode,
      }),
    ]),
    make("settle", finishedAt, settledAt, { ...task, "cicd.pipeline.run.state": "finalizing" }),
  ];
  // A job that is tried again is not over.
  if (job.state === "queued" || job.attempt !== number) return spans;
  return [make("job", job.createdAt, settledAt, {}), ...spans];
}

function span(
  job: Job,
  name: SpanName,
  { number, from, to, outcome, more }: {
    readonly number: number;
    readonly from: number;
    readonly to: number;
    readonly outcome: AttemptOutcome;
    readonly more: Readonly<Record<string, Value>>;
  },
): Span {
  const { traceparent } = job.spec;
  const caller = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  const jobSpan = spanIdOf(job.id, 0, "job");
  const parent = name === "job"
    ? caller?.spanId
    : name === "queued" || name === "attempt"
    ? jobSpan
    : spanIdOf(job.id, number, "attempt");
  // Only these say how it ended.
  const hasResult = name === "job" || name === "attempt" || name === "run";
  const isGood = outcome.state === "succeeded" || outcome.state === "cancelled";
  return {
    traceId: traceOf(job.id, traceparent),
    spanId: name === "job" ? jobSpan : spanIdOf(job.id, number, name),
    ...(parent === undefined ? {} : { parentSpanId: parent }),
    name: name === "job"
      ? `RUN ${job.spec.project}`
      : name === "attempt"
      ? `attempt ${number}`
      : name,
    kind: name === "job" ? SERVER : INTERNAL,
    startTimeUnixNano: nanoseconds(from),
    endTimeUnixNano: nanoseconds(Math.max(from, to)),
    attributes: Object.entries(more).flatMap(toAttribute),
    status: hasResult && !isGood
      ? { code: ERROR, message: outcome.message.slice(0, 500) }
      : { code: OK },
  };
}

function attributes(job: Job, outcome: AttemptOutcome): Readonly<Record<string, Value>> {
  const { git, project, container } = job.spec;
  return {
    "cicd.pipeline.name": project,
    "cicd.pipeline.run.id": job.id,
    "cicd.pipeline.result": resultOf(outcome),
    "cicd.job.reason": outcome.reason,
    "error.type": outcome.state === "succeeded" || outcome.state === "cancelled"
      ? undefined
      : outcome.reason,
    "container.image.name": container?.image,
    "vcs.repository.url.full": git === undefined ? undefined : withoutSecrets(git.url),
    "vcs.ref.head.name": git?.ref,
    "vcs.ref.head.revision": outcome.commit ?? git?.sha,
  };
}

function resultOf({ state }: AttemptOutcome): string {
  switch (state) {
    case "succeeded":
      return "success";
    case "failed":
      return "failure";
    case "timed_out":
      return "timeout";
    case "cancelled":
      return "cancellation";
    case "lost":
      return "error";
  }
}

/** A URL may hold a password, which the log masks too. */
function withoutSecrets(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, "$1");
}

function toAttribute([key, value]: readonly [string, Value]): readonly Attribute[] {
  if (value === undefined) return [];
  return [{
    key,
    value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value },
  }];
}

function within(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), Math.max(low, high));
}

function nanoseconds(ms: number): string {
  return `${Math.round(ms)}000000`;
}
