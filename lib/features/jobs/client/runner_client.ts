/**
 * The runner's API as functions.
 *
 * @module
 */
import { type UnixResponse } from "@lib/foundations/http/unix_client.ts";
import {
  type JobAnswer,
  jobAnswerSchema,
  type JobPage,
  jobPageSchema,
  parseAnswer,
  type ProjectAnswer,
  projectAnswerSchema,
  projectListSchema,
  type QueueAnswer,
  queueAnswerSchema,
  type StatusAnswer,
  statusAnswerSchema,
} from "@lib/api/client/answers.ts";
import {
  type ArtifactsAnswer,
  type ArtifactsOf,
  listArtifacts,
  openArtifact,
} from "@lib/features/artifacts/client.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { RunnerTransport } from "@lib/api/client/transport.ts";

/** Which jobs are listed. */
export interface JobFilter {
  readonly project?: string;
  readonly states?: readonly string[];
  readonly limit?: number;
  readonly cursor?: string;
}

/** Which part of a log is read. */
export interface LogPart {
  /** Offset of the first byte. */
  readonly from: number;
  readonly stream?: "stdout" | "stderr";
  readonly timestamps?: boolean;
}

/** What is done with a queue. */
export type QueueVerb = "pause" | "resume" | "drain";

/** A client of one runner. Each method throws what {@linkcode RunnerTransport.json} throws. */
export class RunnerClient implements Disposable {
  readonly #transport: RunnerTransport;

  constructor(transport: RunnerTransport) {
    this.#transport = transport;
  }

  /** Submits a job; the same key gives the same job. */
  async submit(request: unknown, idempotencyKey: string, signal: AbortSignal): Promise<JobAnswer> {
    const answer = await this.#transport.json({
      method: "POST",
      path: "/v1/jobs",
      headers: { "idempotency-key": idempotencyKey },
      body: request,
      signal,
    });
    return toJob(answer);
  }

  /** @param id A job's id, or its beginning. */
  async job(id: string, signal: AbortSignal): Promise<JobAnswer> {
    return toJob(await this.#get(jobPath(id), signal));
  }

  async jobs(filter: JobFilter, signal: AbortSignal): Promise<JobPage> {
    const query = queryOf({
      project: filter.project,
      state: filter.states?.join(","),
      limit: filter.limit,
      cursor: filter.cursor,
    });
    return parseAnswer(jobPageSchema, await this.#get(`/v1/jobs${query}`, signal), "the jobs");
  }

  /** Waits for a job's end, at most `timeoutMs`; then answers with the job as it stands. */
  async waitOnce(id: string, timeoutMs: number, signal: AbortSignal): Promise<JobAnswer> {
    const seconds = Math.max(1, Math.ceil(timeoutMs / 1_000));
    return toJob(
      await this.#transport.json({
        method: "GET",
        path: `${jobPath(id)}/wait?timeout=${seconds}s`,
        signal,
        extraMs: seconds * 1_000,
      }),
    );
  }

  async cancel(id: string, signal: AbortSignal): Promise<JobAnswer> {
    return toJob(await this.#post(`${jobPath(id)}/cancel`, signal));
  }

  async retry(id: string, signal: AbortSignal): Promise<JobAnswer> {
    return toJob(await this.#post(`${jobPath(id)}/retry`, signal));
  }

  /** Opens a job's log that goes on until the job has ended. */
  followLog(id: string, part: LogPart, signal: AbortSignal): Promise<UnixResponse> {
    return this.#openLog(id, { ...logQuery(part), follow: "1", offset: part.from }, {}, signal);
  }

  /** Opens a job's log as it is now. */
  openLog(id: string, part: LogPart, signal: AbortSignal): Promise<UnixResponse> {
    return this.#openLog(id, { ...logQuery(part), offset: part.from }, {}, signal);
  }

  /**
   * Opens what there is of a log from `part.from` on.
   *
   * @returns `undefined` if there is nothing.
   */
  async openLogRest(
    id: string,
    part: LogPart,
    signal: AbortSignal,
  ): Promise<UnixResponse | undefined> {
    try {
      const range = { range: `bytes=${part.from}-` };
      return await this.#openLog(id, logQuery(part), range, signal);
    } catch (error) {
      if (error instanceof CicdError && error.code === "range_not_satisfiable") return undefined;
      throw error;
    }
  }

  /** Bytes of a job's log now. */
  async logSize(id: string, stream: LogPart["stream"], signal: AbortSignal): Promise<number> {
    const query = logQuery(stream === undefined ? { from: 0 } : { from: 0, stream });
    using response = await this.#openLog(id, query, { range: "bytes=-1" }, signal);
    const total = /\/(\d{1,15})$/.exec(response.headers["content-range"] ?? "")?.[1];
    if (total !== undefined) return Number(total);
    throw new CicdError("internal", "Cannot learn the size of the log: the answer does not tell");
  }

  async status(signal: AbortSignal): Promise<StatusAnswer> {
    return parseAnswer(statusAnswerSchema, await this.#get("/v1/status", signal), "the status");
  }

  async projects(signal: AbortSignal): Promise<readonly ProjectAnswer[]> {
    const answer = await this.#get("/v1/projects", signal);
    return parseAnswer(projectListSchema, answer, "the projects").projects;
  }

  async project(project: string, signal: AbortSignal): Promise<ProjectAnswer> {
    const answer = await this.#get(`/v1/projects/${encodeURIComponent(project)}`, signal);
    return parseAnswer(projectAnswerSchema, answer, "the project");
  }

  /** @param project Absent: the queue as a whole. */
  async setQueue(
    verb: QueueVerb,
    project: string | undefined,
    signal: AbortSignal,
  ): Promise<QueueAnswer> {
    const scope = project === undefined ? "queue" : `projects/${encodeURIComponent(project)}`;
    const answer = await this.#post(`/v1/${scope}/${verb}`, signal);
    return parseAnswer(queueAnswerSchema, answer, "the queue");
  }

  /** What was kept of a job. */
  artifacts(of: ArtifactsOf, signal: AbortSignal): Promise<ArtifactsAnswer> {
    return listArtifacts(this.#transport, of, signal);
  }

  /** Opens a file that was kept. */
  openArtifact(
    of: ArtifactsOf & { readonly path: string },
    signal: AbortSignal,
  ): Promise<UnixResponse> {
    return openArtifact(this.#transport, of, signal);
  }

  /** Opens the stream of changes. @param since Absent: from now on. */
  events(since: string | undefined, signal: AbortSignal): Promise<UnixResponse> {
    return this.#transport.open({
      method: "GET",
      path: "/v1/events",
      headers: {
        accept: "text/event-stream",
        ...(since === undefined ? {} : { "last-event-id": since }),
      },
      signal,
    });
  }

  [Symbol.dispose](): void {
    this.#transport[Symbol.dispose]();
  }

  #get(path: string, signal: AbortSignal): Promise<unknown> {
    return this.#transport.json({ method: "GET", path, signal });
  }

  #post(path: string, signal: AbortSignal): Promise<unknown> {
    return this.#transport.json({ method: "POST", path, signal });
  }

  #openLog(
    id: string,
    query: QueryFields,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<UnixResponse> {
    return this.#transport.open({
      method: "GET",
      path: `${jobPath(id)}/logs${queryOf(query)}`,
      headers: { accept: "text/plain", ...headers },
      signal,
    });
  }
}

type QueryFields = Readonly<Record<string, string | number | undefined>>;

function jobPath(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}

function logQuery({ stream, timestamps }: LogPart): QueryFields {
  return { stream, timestamps: timestamps === true ? "1" : undefined };
}

function queryOf(fields: QueryFields): string {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

function toJob(value: unknown): JobAnswer {
  return parseAnswer(jobAnswerSchema, value, "the job");
}
