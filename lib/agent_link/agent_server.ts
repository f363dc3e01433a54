/**
 * The agent's side of the link.
 *
 * @module
 */
import { toCicdError } from "@lib/core/errors.ts";
import { parseJobId } from "@lib/core/ids.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { readJson } from "@lib/http/body.ts";
import { problemResponse } from "@lib/http/problem.ts";
import type { AttemptRef } from "@lib/jobs/attempt_folder.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/jobs/model.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import {
  type AgentStatus,
  type AttemptLine,
  type AttemptOrder,
  parseAttemptOrder,
  parseCancelRequest,
  SIGN_OF_LIFE_MS,
} from "@lib/agent_link/protocol.ts";

/** What the server needs of the agent. */
export interface AttemptPort {
  /** Begins the attempt, or joins it; resolves when its processes are on their way. */
  begin(ref: AttemptRef, order: AttemptOrder): Promise<void>;
  /** Resolves when the attempt has ended. */
  ended(ref: AttemptRef): Promise<AttemptOutcome>;
  /** @returns `false` if the attempt is unknown. */
  stop(ref: AttemptRef, why: CancelRequest): Promise<boolean>;
}

/** Options for {@linkcode agentHandler}. */
export interface AgentServerOptions {
  readonly project: ProjectName;
  readonly attempts: AttemptPort;
  readonly status: () => AgentStatus;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
}

/** Makes the handler of the agent's socket. */
export function agentHandler(
  options: AgentServerOptions,
): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      return await route(request, options);
    } catch (error) {
      return problemResponse(toCicdError(error));
    }
  };
}

async function route(request: Request, options: AgentServerOptions): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (request.method === "GET" && pathname === "/status") return Response.json(options.status());
  const match = /^\/attempts\/([^/]+)\/(\d{1,6})(\/stop)?$/.exec(pathname);
  const jobId = parseJobId(match?.[1] ?? "");
  if (match === null || jobId === undefined) {
    throw new CicdError("not_found", `Cannot find "${pathname}": the agent has no such route`);
  }
  const ref: AttemptRef = { project: options.project, jobId, number: Number(match[2]) };
  const body = () => readJson(request, { maxBytes: options.maxBodyBytes, timeoutMs: 30_000 });
  if (match[3] !== undefined && request.method === "POST") {
    return await stop(ref, parseCancelRequest(await body()), options);
  }
  if (match[3] === undefined && request.method === "PUT") {
    return await run(ref, parseAttemptOrder(await body()), options);
  }
  throw new CicdError("method_not_allowed", `Cannot ${request.method} "${pathname}"`);
}

async function run(
  ref: AttemptRef,
  order: AttemptOrder,
  options: AgentServerOptions,
): Promise<Response> {
  if (order.spec.project !== ref.project) {
    throw new CicdError(
      "invalid_request",
      `Cannot run a job of project "${order.spec.project}": this is the agent of "${ref.project}"`,
    );
  }
  await options.attempts.begin(ref, order);
  const gone = new AbortController();
  const lines = attemptLines(options.attempts.ended(ref), gone.signal);
  const encoder = new TextEncoder();
  return new Response(
    new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { done, value } = await lines.next();
        if (done === true) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
      },
      cancel() {
        gone.abort(new DOMException("The runner went away", "AbortError"));
      },
    }, { highWaterMark: 0 }),
    { headers: { "content-type": "application/x-ndjson" } },
  );
}

async function* attemptLines(
  ended: Promise<AttemptOutcome>,
  gone: AbortSignal,
): AsyncGenerator<AttemptLine, void, undefined> {
  yield { kind: "alive" };
  while (!gone.aborted) {
    using deadline = withDeadline(gone, SIGN_OF_LIFE_MS, "the end of the attempt");
    try {
      yield { kind: "ended", outcome: await raceAbort(ended, deadline) };
      return;
    } catch (error) {
      if (error !== deadline.reason || gone.aborted) throw error;
      yield { kind: "alive" };
    }
  }
}

async function stop(
  ref: AttemptRef,
  why: CancelRequest,
  options: AgentServerOptions,
): Promise<Response> {
  if (await options.attempts.stop(ref, why)) return new Response(null, { status: 202 });
  throw new CicdError(
    "not_found",
    `Cannot stop attempt ${ref.number} of job "${ref.jobId}": this agent has not been given it`,
  );
}
