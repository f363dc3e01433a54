/**
 * The routes of a job's log: whole, in part, or as it is written.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import {
  assertHasStream,
  assertReaches,
  LOG_QUERY,
  type LogQuery,
  logSession,
} from "@lib/api/log_socket.ts";
import {
  type AnyRoute,
  type AnySocket,
  type ApiRequest,
  flag,
  route,
  socket,
} from "@lib/api/route.ts";
import { parseRange } from "@lib/api/range.ts";
import { toLogEvents } from "@lib/features/jobs/log_events.ts";
import { streamBody } from "@lib/api/stream_body.ts";

type LogPorts = Pick<RunnerServices, "store" | "logs">;

/** The routes of logs. */
export function logRoutes(ports: LogPorts): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/jobs/:id/logs",
      access: { scope: "read", by: "job" },
      summary: "Read a job's log",
      description:
        "The logs of all attempts in order, each after the lines of its setup (checkout, image, " +
        "caches). Secrets are masked byte for byte, so offsets are stable. With `stream` the lines " +
        "of the setup are omitted. `Range: bytes=N-` (or `offset=N`) resumes. With `follow=1` the " +
        "answer continues until the job has ended. `Accept: text/event-stream` gives server-sent " +
        "events whose id is the offset after their text; `Last-Event-ID` resumes them.",
      query: { follow: flag, ...LOG_QUERY },
      answers: {
        200: { description: "The log", contentType: "text/plain" },
        206: { description: "The requested range", contentType: "text/plain" },
      },
      errors: ["invalid_request", "range_not_satisfiable"],
      handle: async (call, reply) => {
        const { request, job, query } = call;
        assertHasStream(job, query.stream);
        const isEvents = request.headers.get("accept")?.includes("text/event-stream") === true;
        const answer = isEvents ? eventStream : plainText;
        return reply.raw(await answer(ports, job, call));
      },
    }),
  ];
}

/** The same log over a WebSocket, followed to its end. */
export function logSocket(ports: LogPorts): AnySocket {
  return socket({
    path: "/v1/jobs/:id/logs",
    access: { scope: "read", by: "job" },
    query: LOG_QUERY,
    open: ({ job, query }) => logSession(ports, job, query),
  });
}

type LogCall = Pick<
  ApiRequest<LogQuery & { readonly follow: boolean | undefined }>,
  "request" | "query" | "signal"
>;

/** Answers with the log as it is written, and a last line with the result. */
export function followLog(
  ports: LogPorts,
  job: Job,
  over: AbortSignal,
  headers: Readonly<Record<string, string>>,
): Response {
  const body = streamBody(over, async function* (signal) {
    let endsWithNewline = true;
    const whole = { from: 0, timestamps: false, follow: true, signal };
    for await (const chunk of ports.logs.read(job, whole)) {
      endsWithNewline = chunk.at(-1) === NEWLINE;
      yield chunk;
    }
    const ended = ports.store.require(job.id);
    yield new TextEncoder().encode(`${endsWithNewline ? "" : "\n"}${resultLine(ended)}\n`);
  });
  return new Response(body, { headers: { ...headers, "content-type": TEXT } });
}

const NEWLINE = 10;
const TEXT = "text/plain; charset=utf-8";

/** Returns the last line of a followed submission, for people and for `grep`. */
function resultLine({ state, exitCode, reason, id }: Job): string {
  return `cicd-result state=${state} exit_code=${exitCode ?? ""} reason=${reason ?? ""} job=${id}`;
}

async function plainText(
  ports: LogPorts,
  job: Job,
  { request, query, signal: over }: LogCall,
): Promise<Response> {
  const { stream, timestamps = false, follow = false, offset } = query;
  const size = await ports.logs.size(job, stream);
  const range = parseRange(request.headers.get("range"), size, { follow, offset });
  if (range.kind === "unsatisfiable") {
    const response = problemResponse(
      new CicdError(
        "range_not_satisfiable",
        `Cannot read the log of job "${job.id}" from there: it has ${size} bytes`,
      ),
    );
    response.headers.set("content-range", `bytes */${size}`);
    return response;
  }
  const { from, to } = range;
  const headers = new Headers({ "content-type": TEXT, "x-job-state": job.state });
  if (!timestamps && !follow) {
    headers.set("accept-ranges", "bytes");
    if (range.kind === "part" && to !== undefined) {
      headers.set("content-range", `bytes ${from}-${to - 1}/${size}`);
      headers.set("content-length", String(to - from));
    }
  }
  const body = streamBody(over, (signal) =>
    ports.logs.read(job, {
      from,
      timestamps,
      follow,
      signal,
      ...(to === undefined ? {} : { to }),
      ...(stream === undefined ? {} : { stream }),
    }));
  return new Response(body, { status: range.kind === "part" ? 206 : 200, headers });
}

async function eventStream(
  ports: LogPorts,
  job: Job,
  { request, query, signal: over }: LogCall,
): Promise<Response> {
  const { stream, follow = false, offset } = query;
  const lastId = request.headers.get("last-event-id");
  if (lastId !== null && !/^\d{1,15}$/.test(lastId)) {
    throw new CicdError("invalid_request", "Cannot resume: Last-Event-ID is not a byte offset", {
      issues: [{ path: "header.last-event-id", message: "must be a byte offset" }],
    });
  }
  const from = lastId === null ? offset ?? 0 : Number(lastId);
  await assertReaches(ports.logs, job, { from, stream });
  const body = streamBody(over, (signal) =>
    toLogEvents(
      ports.logs.read(job, {
        from,
        timestamps: false,
        follow,
        signal,
        ...(stream === undefined ? {} : { stream }),
      }),
      () => ports.store.require(job.id),
    ));
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}
