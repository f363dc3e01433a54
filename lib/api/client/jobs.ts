/**
 * Requests about jobs and projects that several features make.
 *
 * @module
 */
import { counted } from "@lib/core/count.ts";
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import {
  jobPageSchemaOf,
  jobSchemaOf,
  projectListSchema,
  type projectSchema,
} from "@lib/api/answers.ts";
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import type { Reconnect } from "@lib/api/client/reconnect.ts";
import { readServerSentEvents } from "@lib/api/client/sse.ts";
import { isTerminal, JOB_STATES } from "@lib/spine/jobs/model.ts";
import {
  ConnectionLostError,
  jobPath,
  parsedOrUndefined,
  queryOf,
  type RunnerTransport,
} from "@lib/api/client/transport.ts";

const jobSchema = jobSchemaOf(v.record(v.string(), v.nullable(v.number())));
const jobPageSchema = jobPageSchemaOf(jobSchema);

/** A job. */
export type JobAnswer = ReadingOf<typeof jobSchema>;
/** A page of jobs. */
export type JobPage = ReadingOf<typeof jobPageSchema>;
/** A project and its queue. */
export type ProjectAnswer = ReadingOf<typeof projectSchema>;

/** The fields of a spec that are shown to people. */
const specSchema = v.object({
  command: v.exactOptional(v.array(v.string())),
  script: v.exactOptional(v.string()),
  workdir: v.exactOptional(v.string()),
  image: v.exactOptional(v.string()),
  network: v.exactOptional(v.string()),
  git: v.exactOptional(v.object({
    url: v.string(),
    ref: v.exactOptional(v.string()),
    sha: v.exactOptional(v.string()),
  })),
  artifacts: v.exactOptional(v.object({ paths: v.array(v.string()), when: v.string() })),
  caches: v.exactOptional(v.array(v.object({ name: v.string() }))),
  concurrency_group: v.exactOptional(v.string()),
  labels: v.exactOptional(v.record(v.string(), v.string())),
});

/** The part of a spec that is shown to people. */
export type SpecAnswer = ReadingOf<typeof specSchema>;

const readSpec = reading(specSchema, "the job's spec");

/** Reads the spec of a job. */
export function specOf({ spec }: Pick<JobAnswer, "spec">): SpecAnswer {
  return readSpec(spec);
}

/** Reads a job. */
export const readJob = reading(jobSchema, "the job");
const readPage = reading(jobPageSchema, "the jobs");
const readProjects = reading(projectListSchema, "the projects");

/** States of ended jobs; another, unknown state may still change. */
export const ENDED_STATES: readonly string[] = JOB_STATES.filter(isTerminal);

/** Tells if a job has ended. */
export function hasEnded({ state }: Pick<JobAnswer, "state">): boolean {
  return ENDED_STATES.includes(state);
}

/** Selects jobs. */
export interface JobFilter {
  readonly project?: string | undefined;
  readonly states?: readonly string[] | undefined;
  /** As `NAME=VALUE`; a job has all of them. */
  readonly labels?: readonly string[] | undefined;
  readonly limit?: number;
  readonly cursor?: string | undefined;
}

/** Lists jobs, newest first. */
export function listJobs(
  runner: RunnerTransport,
  { project, states, labels, limit, cursor }: JobFilter,
  signal: AbortSignal,
): Promise<JobPage> {
  const query = queryOf({ project, state: states?.join(","), label: labels, limit, cursor });
  return runner.ask(readPage, { path: `/v1/jobs${query}`, signal });
}

/** Jobs per request: the runner's limit. */
const PAGE = 500;

/** Yields jobs page by page, newest first, `max` at most. */
export async function* pages(
  runner: RunnerTransport,
  filter: JobFilter,
  max: number,
  signal: AbortSignal,
): AsyncGenerator<JobAnswer, void, undefined> {
  let left = max;
  let cursor: string | undefined;
  while (left > 0) {
    const limit = Math.min(PAGE, left);
    const page = await listJobs(runner, { ...filter, limit, cursor }, signal);
    yield* page.jobs.slice(0, left);
    left -= page.jobs.length;
    if (page.next_cursor === null || page.jobs.length === 0) return;
    cursor = page.next_cursor;
  }
}

const ID_LENGTH = 36;

/**
 * Returns the id of the job that a text names: `last`, `last~1` for the one before, the beginning
 * of an id, or an id, which needs no request. What follows a job must not look for it again:
 * newer jobs change what a text names.
 *
 * @throws {CicdError} `job_not_found`, with the candidates if there are several.
 */
export async function jobIdOf(
  runner: RunnerTransport,
  text: string,
  signal: AbortSignal,
): Promise<string> {
  if (text.length === ID_LENGTH) return text;
  const [isLast, back = "0"] = /^last(?:~(\d{1,4}))?$/.exec(text) ?? [];
  if (isLast === undefined) return (await runner.ask(readJob, { path: jobPath(text), signal })).id;
  const newest = await Array.fromAsync(pages(runner, {}, Number(back) + 1, signal));
  const job = newest[Number(back)];
  if (job !== undefined) return job.id;
  const count = newest.length;
  const why = count === 0
    ? "there are no jobs yet"
    : `there ${count === 1 ? "is" : "are"} only ${counted(count, "job")}`;
  throw new CicdError("job_not_found", `Cannot find job "${text}": ${why}`);
}

/** Lists projects. */
export async function listProjects(runner: RunnerTransport, signal: AbortSignal) {
  return (await runner.ask(readProjects, { path: "/v1/projects", signal })).projects;
}

/** A change of a job. */
export interface JobChange {
  /** Resumes after this change. */
  readonly revision: string;
  /** The job as it was then. */
  readonly job: JobAnswer;
}

/** Yields the changes of jobs without end; none is lost while the connection is down. */
export async function* changes(
  context: { readonly reconnect: (signal: AbortSignal) => Reconnect },
  runner: RunnerTransport,
  options: {
    readonly signal: AbortSignal;
    /** The revision to start after. Absent: from now on. */
    readonly since?: string | undefined;
    /** Called each time the stream is open: changes from here on are reported. */
    readonly onOpen?: () => void;
  },
): AsyncGenerator<JobChange, never, undefined> {
  const { signal, onOpen } = options;
  const reconnect = context.reconnect(signal);
  let { since } = options;
  while (true) {
    try {
      const resume = since === undefined ? {} : { "last-event-id": since };
      const headers = { accept: "text/event-stream", ...resume };
      using stream = await runner.open({ path: "/v1/events", headers, signal });
      reconnect.found();
      onOpen?.();
      for await (const { event, data, id } of readServerSentEvents(stream.body)) {
        if (id === undefined) continue;
        if (event === "job") {
          reconnect.progressed();
          yield { revision: id, job: readJob(parsedOrUndefined(data)) };
        }
        since = id;
      }
      throw new ConnectionLostError("Cannot follow the events: the runner has ended them", {
        isListening: true,
      });
    } catch (error) {
      await reconnect.afterFailure(error);
    }
  }
}
