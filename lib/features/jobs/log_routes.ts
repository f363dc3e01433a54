/**
 * A job's log: whole, in part, or as it is written.
 *
 * @module
 */
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import { find } from "@lib/api/find_job.ts";
import type { ApiPorts, JobLogs, LogWish } from "@lib/api/ports.ts";
import { type AnyRoute, flag, route, wholeNumber } from "@lib/api/route.ts";
import { parseRange } from "@lib/api/range.ts";
import { toLogEvents } from "@lib/features/jobs/log_events.ts";
import { streamBody } from "@lib/api/stream_body.ts";

/** The routes of logs. */
export function logRoutes(ports: ApiPorts): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/jobs/:id/logs",
      access: { scope: "read" },
      summary: "Read a job's log",
      description:
        "The attempts' logs one after another, each after the lines of its setup (checkout, image, " +
        "caches), secrets masked byte for byte, so that an offset names the same byte for ever. " +
        "With `stream` there are no lines of the setup. `Range: bytes=N-` (or `offset=N`) " +
        "resumes. With `follow=1` the answer goes on until the job has ended. " +
        "`Accept: text/event-stream` gives server-sent events whose id is the offset after their " +
        "text; `Last-Event-ID` resumes them.",
      query: { follow: flag, ...logPart },
      answers: {
        200: { description: "The log", contentType: "text/plain" },
        206: { description: "The range asked for", contentType: "text/plain" },
      },
      errors: ["job_not_found", "invalid_request", "range_not_satisfiable"],
      handle: async ({ request, params, query }) => {
        const job = find(ports, params);
        assertHasStream(job, query.stream);
        const wish = {
          stream: query.stream,
          timestamps: query.timestamps ?? false,
          follow: query.follow ?? false,
        };
        if (request.headers.get("accept")?.includes("text/event-stream") === true) {
          return await eventStream(ports, job, request, { ...wish, offset: query.offset });
        }
        return await plainText(ports, job, request, { ...wish, offset: query.offset });
      },
    }),
  ];
}

/** Which part of a log a query asks for. */
export const logPart = {
  stream: v.optional(v.picklist(["stdout", "stderr"], 'must be "stdout" or "stderr"')),
  timestamps: flag,
  offset: wholeNumber({ min: 0, max: Number.MAX_SAFE_INTEGER }),
};

/** @throws {CicdError} `invalid_request` if a job's output does not keep that stream apart. */
export function assertHasStream(job: Job, stream: LogWish["stream"]): void {
  if (stream === undefined || job.spec.output !== "merged") return;
  throw new CicdError(
    "invalid_request",
    `Cannot read ${stream} of job "${job.id}" apart: its output is merged, in the ` +
      'order of writing; submit with "output": "split" to keep the streams apart',
    { issues: [{ path: "query.stream", message: "goes with output: split only" }] },
  );
}

/** @throws {CicdError} `range_not_satisfiable` if a job has ended before it wrote so much. */
export async function assertReaches(
  logs: JobLogs,
  job: Job,
  { from, stream }: { readonly from: number; readonly stream: LogWish["stream"] },
): Promise<void> {
  const size = await logs.size(job, stream);
  if (from <= size || !isTerminal(job.state)) return;
  throw new CicdError(
    "range_not_satisfiable",
    `Cannot read the log of job "${job.id}" from byte ${from}: it has ${size} bytes`,
  );
}

interface Wish {
  readonly stream: LogWish["stream"] | undefined;
  readonly timestamps: boolean;
  readonly follow: boolean;
  readonly offset: number | undefined;
}

/** The log as it is written, then one line that tells how the job ended. */
export function followLog(
  ports: ApiPorts,
  job: Job,
  request: Request,
  headers: Readonly<Record<string, string>>,
): Response {
  const body = streamBody(request.signal, async function* (signal) {
    let endsWithNewline = true;
    const wish = { from: 0, timestamps: false, follow: true, signal };
    for await (const chunk of ports.logs.read(job, wish)) {
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

/** The last line of a followed submission, for people and for `grep`. */
export function resultLine(job: Job): string {
  const fields = [
    `state=${job.state}`,
    `exit_code=${job.exitCode ?? ""}`,
    `reason=${job.reason ?? ""}`,
    `job=${job.id}`,
  ];
  return `cicd-result ${fields.join(" ")}`;
}

async function plainText(
  ports: ApiPorts,
  job: Job,
  request: Request,
  wish: Wish,
): Promise<Response> {
  const size = await ports.logs.size(job, wish.stream);
  const range = parseRange(request.headers.get("range"), size, wish);
  if (range.kind === "unsatisfiable") {
    const response = problemResponse(
      new CicdError(
        "range_not_satisfiable",
        `Cannot read the log of job "${job.id}" from there: it has ${size} bytes now`,
      ),
    );
    response.headers.set("content-range", `bytes */${size}`);
    return response;
  }
  const { from, to } = range;
  const headers = new Headers({ "content-type": TEXT, "x-job-state": job.state });
  if (!wish.timestamps && !wish.follow) {
    headers.set("accept-ranges", "bytes");
    if (range.kind === "part" && to !== undefined) {
      headers.set("content-range", `bytes ${from}-${to - 1}/${size}`);
      headers.set("content-length", String(to - from));
    }
  }
  const body = streamBody(request.signal, (signal) =>
    ports.logs.read(job, {
      from,
      timestamps: wish.timestamps,
      follow: wish.follow,
      signal,
      ...(to === undefined ? {} : { to }),
      ...(wish.stream === undefined ? {} : { stream: wish.stream }),
    }));
  return new Response(body, { status: range.kind === "part" ? 206 : 200, headers });
}

async function eventStream(
  ports: ApiPorts,
  job: Job,
  request: Request,
  wish: Wish,
): Promise<Response> {
  const lastId = request.headers.get("last-event-id");
  if (lastId !== null && !/^\d{1,15}$/.test(lastId)) {
    throw new CicdError("invalid_request", "Cannot resume: Last-Event-ID is no byte offset", {
      issues: [{ path: "header.last-event-id", message: "must be a byte offset" }],
    });
  }
  const from = lastId === null ? wish.offset ?? 0 : Number(lastId);
  await assertReaches(ports.logs, job, { from, stream: wish.stream });
  const body = streamBody(request.signal, (signal) =>
    toLogEvents(
      ports.logs.read(job, {
        from,
        timestamps: false,
        follow: wish.follow,
        signal,
        ...(wish.stream === undefined ? {} : { stream: wish.stream }),
      }),
      { end: () => ports.store.require(job.id) },
    ));
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}
