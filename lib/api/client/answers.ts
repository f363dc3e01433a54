/**
 * The runner's answers as a client reads them.
 *
 * Only what the client uses is checked, and what it does not know is kept: a
 * newer runner's answer passes through `--json` whole.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";

const number = v.nullable(v.number());
const text = v.nullable(v.string());

const usageSchema = v.looseObject({
  cpu_seconds: number,
  memory_peak_bytes: number,
  wall_seconds: number,
  cpu_throttled_seconds: number,
});

const attemptSchema = v.looseObject({
  number: v.number(),
  state: v.string(),
  reason: text,
  message: text,
  exit_code: number,
  signal: text,
  started_at: text,
  finished_at: text,
  log_bytes: number,
  usage: usageSchema,
});

/** A job. */
export const jobAnswerSchema = v.looseObject({
  id: v.string(),
  project: v.string(),
  state: v.string(),
  reason: text,
  message: text,
  exit_code: number,
  signal: text,
  attempt: v.number(),
  created_at: v.string(),
  started_at: text,
  finished_at: text,
  cancelling: v.boolean(),
  usage: usageSchema,
  limits: v.looseObject({
    cpu: number,
    memory_bytes: number,
    tasks: number,
    disk_bytes: v.exactOptional(number),
    timeout_seconds: v.number(),
    grace_seconds: v.number(),
  }),
  spec: v.looseObject({
    command: v.exactOptional(v.array(v.string())),
    script: v.exactOptional(v.string()),
    workdir: v.exactOptional(v.string()),
    image: v.exactOptional(v.string()),
    network: v.exactOptional(v.string()),
    git: v.exactOptional(v.looseObject({
      url: v.string(),
      ref: v.exactOptional(v.string()),
      sha: v.exactOptional(v.string()),
    })),
    artifacts: v.exactOptional(v.looseObject({ paths: v.array(v.string()), when: v.string() })),
    caches: v.exactOptional(v.array(v.looseObject({ name: v.string() }))),
    priority: v.exactOptional(v.number()),
    concurrency_group: v.exactOptional(v.string()),
    output: v.exactOptional(v.string()),
    labels: v.exactOptional(v.record(v.string(), v.string())),
  }),
  queue_position: v.exactOptional(v.number()),
  attempts: v.exactOptional(v.array(attemptSchema)),
});

/** A page of jobs. */
export const jobPageSchema = v.looseObject({
  jobs: v.array(jobAnswerSchema),
  next_cursor: text,
});

/** The runner at a glance. */
export const statusAnswerSchema = v.looseObject({
  version: v.string(),
  pid: v.number(),
  started_at: v.string(),
  agents: v.string(),
  state_dir: v.string(),
  mode: v.string(),
  queued: v.number(),
  in_flight: v.number(),
  max_running: v.number(),
  ready: v.boolean(),
  reasons: v.array(v.string()),
  warnings: v.exactOptional(v.array(v.string())),
});

/** A queue: of one project, or of all. */
export const queueAnswerSchema = v.looseObject({
  mode: v.string(),
  queued: v.number(),
  in_flight: v.number(),
});

/** A project and its queue. */
export const projectAnswerSchema = v.looseObject({
  ...queueAnswerSchema.entries,
  project: v.string(),
  max_running: v.number(),
  /** Only where one project is asked for. */
  agent: v.exactOptional(v.looseObject({
    running: v.boolean(),
    /** Of everything the project does; by name, as `memory_bytes`. */
    limits: v.exactOptional(v.record(v.string(), v.number())),
  })),
});

/** All projects. */
export const projectListSchema = v.looseObject({ projects: v.array(projectAnswerSchema) });

/** A job. */
export type JobAnswer = v.InferOutput<typeof jobAnswerSchema>;
/** An attempt of a job. */
export type AttemptAnswer = v.InferOutput<typeof attemptSchema>;
/** A page of jobs. */
export type JobPage = v.InferOutput<typeof jobPageSchema>;
/** The runner at a glance. */
export type StatusAnswer = v.InferOutput<typeof statusAnswerSchema>;
/** A queue. */
export type QueueAnswer = v.InferOutput<typeof queueAnswerSchema>;
/** A project and its queue. */
export type ProjectAnswer = v.InferOutput<typeof projectAnswerSchema>;

/**
 * Checks an answer.
 *
 * @param what Names it in the message: `the job`.
 * @throws {CicdError} `internal` if it is none: something else answers on the socket.
 */
export function parseAnswer<T>(
  schema: v.GenericSchema<unknown, T>,
  value: unknown,
  what: string,
): T {
  const parsed = v.safeParse(schema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const at = issue === undefined ? "" : ` (at ${v.getDotPath(issue) ?? "its top"})`;
  throw new CicdError(
    "internal",
    `Cannot read ${what}: the answer has another form than expected${at}; ` +
      "check that runner and command line are of the same version",
  );
}

/** Whether nothing happens any more in `state`; a state not known here may still change. */
export function hasEnded({ state }: Pick<JobAnswer, "state">): boolean {
  switch (state) {
    case "succeeded":
    case "failed":
    case "cancelled":
    case "timed_out":
    case "lost":
      return true;
    default:
      return false;
  }
}
