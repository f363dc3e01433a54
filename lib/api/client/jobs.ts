/**
 * Jobs and projects, as the commands of every feature read them.
 *
 * @module
 */
import * as v from "valibot";
import {
  jobPageSchema,
  jobSchema,
  projectListSchema,
  type projectSchema,
} from "@lib/api/answers.ts";
import { reading, type ReadingOf } from "@lib/api/client/reading.ts";
import type { Reconnect } from "@lib/api/client/reconnect.ts";
import { readServerSentEvents } from "@lib/api/client/sse.ts";
import {
  type ByteStream,
  ConnectionLostError,
  queryOf,
  type RunnerTransport,
} from "@lib/api/client/transport.ts";

/** A job. */
export type JobAnswer = ReadingOf<typeof jobSchema>;
/** A page of jobs. */
export type JobPage = ReadingOf<typeof jobPageSchema>;
/** A project and its queue. */
export type ProjectAnswer = ReadingOf<typeof projectSchema>;

/** The fields of a spec that are shown to people; all of it is documented with the request. */
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

/** Tells that nothing happens any more; a state not known here may still change. */
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

/** Selects jobs. */
export interface JobFilter {
  readonly project?: string;
  readonly states?: readonly string[];
  readonly limit?: number;
  readonly cursor?: string;
}

/** Lists jobs, newest first. */
export function listJobs(
  runner: RunnerTransport,
  { project, states, limit, cursor }: JobFilter,
  signal: AbortSignal,
): Promise<JobPage> {
  const query = queryOf({ project, state: states?.join(","), limit, cursor });
  return runner.ask(readPage, { path: `/v1/jobs${query}`, signal });
}

/** Lists projects. */
export async function listProjects(
  runner: RunnerTransport,
  signal: AbortSignal,
): Promise<readonly ProjectAnswer[]> {
  return (await runner.ask(readProjects, { path: "/v1/projects", signal })).projects;
}

/** A change of a job. */
export interface JobChange {
  /** Resumes after this change. */
  readonly revision: string;
  /** The job as it stood. */
  readonly job: JobAnswer;
}

/** Yields the changes of jobs without end, with the runner's restarts noted. */
export function changes(
  { reconnect }: { readonly reconnect: (signal: AbortSignal) => Reconnect },
  runner: RunnerTransport,
  { signal, ...options }: {
    readonly signal: AbortSignal;
    readonly since?: string | undefined;
    readonly onOpen?: () => void;
  },
): AsyncGenerator<JobChange, never, undefined> {
  return followEvents({
    ...options,
    reconnect: reconnect(signal),
    open: (since) =>
      runner.open({
        path: "/v1/events",
        headers: {
          accept: "text/event-stream",
          ...(since === undefined ? {} : { "last-event-id": since }),
        },
        signal,
      }),
  });
}

/** Options for {@linkcode followEvents}. */
export interface FollowEventsOptions {
  /** Opens the stream after a revision; without one, from now on. */
  readonly open: (since: string | undefined) => Promise<ByteStream>;
  /** Begin after this revision. */
  readonly since?: string | undefined;
  readonly reconnect: Reconnect;
  /** Called each time the stream is open: what happens from here on is told. */
  readonly onOpen?: () => void;
}

/** Yields changes without end; none is missed while the connection is away. */
export async function* followEvents(
  options: FollowEventsOptions,
): AsyncGenerator<JobChange, never, undefined> {
  const { open, reconnect, onOpen } = options;
  let { since } = options;
  while (true) {
    try {
      using stream = await open(since);
      reconnect.found();
      onOpen?.();
      for await (const { event, data, id } of readServerSentEvents(stream.body)) {
        if (id === undefined) continue;
        if (event !== "job") {
          since = id;
          continue;
        }
        reconnect.progressed();
        yield { revision: id, job: readJob(parseData(data)) };
        since = id;
      }
      throw new ConnectionLostError("Cannot go on with the events: the runner has ended them", {
        isListening: true,
      });
    } catch (error) {
      await reconnect.afterFailure(error);
    }
  }
}

function parseData(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
