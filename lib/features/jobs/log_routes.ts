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
import { type AnyRoute, type AnySocket, flag, route, socket } from "@lib/api/route.ts";
import { parseRange } from "@lib/api/range.ts";
import type { CutNotes } from "@lib/spine/logs/log_reader.ts";
import { type ClientLeases, onDisconnect } from "@lib/features/jobs/leases.ts";
import {
  type AnswerOptions,
  interruptedBy,
  toLogEvents,
  toText,
} from "@lib/features/jobs/log_streams.ts";
import { streamBody } from "@lib/api/stream_body.ts";

type LogPorts = Pick<RunnerServices, "store" | "logs" | "log" | "stopping">;

/** The routes of logs. */
export function logRoutes(ports: LogPorts, leases: ClientLeases): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/v1/jobs/:id/logs",
      access: { scope: "read", by: "job" },
      summary: "Read a job's log",
      description:
        "The logs of all attempts in order, each after the lines of its setup (checkout, image, " +
        "caches). Secrets are masked byte for byte, so offsets are stable. With `stream` the lines " +
        "of the setup are omitted. `Range: bytes=N-` (or `offset=N`) resumes; an N beyond what there is " +
        "now is refused with 416, also with `follow=1`. With `follow=1` the " +
        "answer continues until the job has ended; if it must end before (the runner stops, the key " +
        'is revoked), its last line is `cicd-interrupted reason=… job=… offset=N resume="GET …"`, ' +
        "unless the request has exactly `Accept: text/plain`: then the transfer breaks. " +
        "`on_disconnect=cancel` with `follow=1` cancels the job when the client has gone, see " +
        "`POST /v1/jobs`; it requires `submit`. `Accept: text/event-stream` gives server-sent " +
        "events `log` and `end` or `interrupted`, whose id is the offset after their text; " +
        "`Last-Event-ID` resumes them. Where the log of an attempt was cut at its `log_max`, the " +
        "line `[cicd-toolkit] log limit …` follows the attempt's last byte. Offsets do not count it; " +
        "an answer with `Range` or to exactly `Accept: text/plain` omits it. The header " +
        "`X-Log-Dropped-Bytes` has the sum over the ended attempts, and `log_dropped_bytes` of an " +
        "attempt its own.",
      query: { follow: flag, on_disconnect: onDisconnect, ...LOG_QUERY },
      answers: {
        200: {
          description: "The log",
          contentType: "text/plain",
          otherTypes: ["text/event-stream"],
        },
        206: { description: "The requested range", contentType: "text/plain" },
      },
      errors: ["invalid_request", "forbidden", "range_not_satisfiable"],
      handle: async (call, reply) => {
        const { request, job, query, caller } = call;
        assertHasStream(job, query.stream);
        const isHeld = query.on_disconnect === "cancel";
        if (isHeld) {
          if (query.follow !== true) throw onlyFollowed();
          leases.assertMayTake(caller);
        }
        const isEvents = request.headers.get("accept")?.includes("text/event-stream") === true;
        const answer = isEvents ? eventStream : plainText;
        const response = await answer(ports, job, isHeld ? { ...call, leases } : call);
        // A refusal, or HEAD, has no answer that a client could hold.
        if (isHeld && response.ok && request.method !== "HEAD") leases.take(job, caller);
        return reply.raw(response);
      },
    }),
  ];
}

function onlyFollowed(): CicdError {
  const message = "requires follow=1";
  return new CicdError(
    "invalid_request",
    `Cannot read the query: on_disconnect=cancel ${message}`,
    {
      issues: [{ path: "query.on_disconnect", message }],
    },
  );
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

/** A request for a log. */
interface LogCall {
  readonly request: Request;
  readonly query: LogQuery & { readonly follow: boolean | undefined };
  readonly signal: AbortSignal;
  /** Holds the job's lease while the answer goes on. */
  readonly leases?: ClientLeases | undefined;
}

/** Answers with the log as it is written, and a last line with the result. */
export function followLog(
  ports: LogPorts,
  job: Job,
  { headers, ...call }: Omit<LogCall, "query"> & {
    readonly headers: Readonly<Record<string, string>>;
  },
): Response {
  const query = { stream: undefined, timestamps: undefined, offset: undefined, follow: true };
  const body = answerBody(
    ports,
    job,
    { ...call, query },
    (signal, interrupted) =>
      toText(
        ports.logs.read(job, {
          from: 0,
          timestamps: false,
          follow: true,
          notes: notesFor(call.request),
          signal,
        }),
        {
          interrupted,
          last: () => resultLine(ports.store.require(job.id)),
        },
      ),
  );
  return new Response(body, { headers: { ...headers, "content-type": TEXT } });
}

const TEXT = "text/plain; charset=utf-8";

/** Makes a body that holds the job's lease and, if it follows the log, ends with the runner. */
function answerBody(
  ports: LogPorts,
  job: Job,
  { request, query, signal: over, leases }: LogCall,
  produce: (
    signal: AbortSignal,
    interrupted: AnswerOptions["interrupted"],
  ) => AsyncIterable<Uint8Array>,
): ReadableStream<Uint8Array> {
  const isFollowed = query.follow === true;
  const ended = isFollowed ? AbortSignal.any([over, ports.stopping]) : over;
  return streamBody(ended, async function* (signal) {
    using _lease = leases?.hold(job.id);
    yield* produce(signal, (error, offset) => {
      if (!isFollowed || countsBytes(request)) throw error;
      const reason = interruptedBy(error, signal, ports.log);
      const rest = new URLSearchParams({ follow: "1", offset: String(offset) });
      if (query.stream !== undefined) rest.set("stream", query.stream);
      if (query.timestamps === true) rest.set("timestamps", "1");
      if (leases !== undefined) rest.set("on_disconnect", "cancel");
      return { reason, job: job.id, offset, resume: `GET /v1/jobs/${job.id}/logs?${rest}` };
    });
  });
}

/** Returns true if the client counts the answer's bytes, as our command line does. */
function countsBytes(request: Request): boolean {
  return request.headers.get("accept") === "text/plain";
}

function notesFor(request: Request): CutNotes {
  return countsBytes(request) ? "none" : "each";
}

/** Returns the last line of a followed submission, for people and for `grep`. */
function resultLine({ state, exitCode, reason, id }: Job): string {
  return `cicd-result state=${state} exit_code=${exitCode ?? ""} reason=${reason ?? ""} job=${id}`;
}

async function plainText(
  ports: LogPorts,
  job: Job,
  call: LogCall,
): Promise<Response> {
  const { request, query } = call;
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
  const dropped = ports.store.attempts(job.id).reduce(
    (sum, { outcome }) => sum + (outcome?.logDroppedBytes ?? 0),
    0,
  );
  if (dropped > 0) headers.set("x-log-dropped-bytes", String(dropped));
  if (!timestamps && !follow) {
    headers.set("accept-ranges", "bytes");
    if (range.kind === "part" && to !== undefined) {
      headers.set("content-range", `bytes ${from}-${to - 1}/${size}`);
      headers.set("content-length", String(to - from));
    }
  }
  const body = answerBody(ports, job, call, (signal, interrupted) => {
    const part = {
      from,
      timestamps,
      follow,
      signal,
      // The rest of a log without a range has no announced length, and may have notes.
      ...(to === undefined || range.kind === "all" ? {} : { to }),
      notes: range.kind === "part" ? "none" : notesFor(request),
      ...(stream === undefined ? {} : { stream }),
    };
    return toText(ports.logs.read(job, part), { interrupted });
  });
  return new Response(body, { status: range.kind === "part" ? 206 : 200, headers });
}

async function eventStream(
  ports: LogPorts,
  job: Job,
  call: LogCall,
): Promise<Response> {
  const { request, query } = call;
  const { stream, follow = false, offset } = query;
  const lastId = request.headers.get("last-event-id");
  if (lastId !== null && !/^\d{1,15}$/.test(lastId)) {
    throw new CicdError("invalid_request", "Cannot resume: Last-Event-ID is not a byte offset", {
      issues: [{ path: "header.last-event-id", message: "must be a byte offset" }],
    });
  }
  const from = lastId === null ? offset ?? 0 : Number(lastId);
  await assertReaches(ports.logs, job, { from, stream });
  const body = answerBody(ports, job, call, (signal, interrupted) => {
    const part = {
      from,
      timestamps: false,
      follow,
      signal,
      ...(stream === undefined ? {} : { stream }),
    };
    const end = () => ports.store.require(job.id);
    return toLogEvents(ports.logs.read(job, part), { interrupted, end });
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}
