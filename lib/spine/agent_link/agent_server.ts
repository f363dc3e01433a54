/**
 * The agent's side of the link.
 *
 * @module
 */
import { CicdError, ignore, toCicdError } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import { parseJobId, type ProjectName } from "@lib/core/ids.ts";
import { readJson } from "@lib/foundations/http/body.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import type { AttemptHost } from "@lib/spine/attempts/attempt_host.ts";
import type { AttemptInput } from "@lib/spine/attempts/attempt_input.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";
import {
  type AgentStatus,
  type AttemptLine,
  parseAttemptOrder,
  parseCancelRequest,
  SIGN_OF_LIFE_MS,
} from "@lib/spine/agent_link/protocol.ts";

/** The attempts of the agent. */
export type AttemptPort = Pick<
  AttemptHost,
  "begin" | "ended" | "stop" | "releaseHold" | "doing" | "commit" | "onProgress"
>;

/** Options for {@linkcode agentHandler}. */
export interface AgentServerOptions {
  readonly project: ProjectName;
  readonly attempts: AttemptPort;
  readonly status: (signal: AbortSignal) => Promise<AgentStatus>;
  /** Reads the configuration again. */
  readonly reload: (signal: AbortSignal) => Promise<void>;
  /** Makes the agent exit unless work comes first. @throws {CicdError} `state_conflict` */
  readonly exit: () => void;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  /** Called with failures of the agent itself. */
  readonly onError: (error: unknown) => void;
}

/** Makes the request handler of the agent's socket. */
export function agentHandler(options: AgentServerOptions): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      return await route(request, options);
    } catch (thrown) {
      const error = toCicdError(thrown);
      // The runner logs the failures it receives, but the details of a defect stay here.
      if (error.code === "internal" && !request.signal.aborted) options.onError(thrown);
      return problemResponse(error);
    }
  };
}

async function route(request: Request, options: AgentServerOptions): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (request.method === "GET" && pathname === "/status") {
    return Response.json(await options.status(request.signal));
  }
  if (request.method === "POST" && pathname === "/reload") {
    await options.reload(request.signal);
    return new Response(null, { status: 204 });
  }
  if (request.method === "POST" && pathname === "/exit") {
    options.exit();
    return new Response(null, { status: 202 });
  }
  const match = /^\/attempts\/([^/]+)\/(\d{1,6})(\/stop|\/release)?$/.exec(pathname);
  const jobId = parseJobId(match?.[1] ?? "");
  if (match === null || jobId === undefined) {
    throw new CicdError("not_found", `Cannot find "${pathname}": unknown route`);
  }
  const ref: AttemptRef = { project: options.project, jobId, number: Number(match[2]) };
  if (match[3] === "/release" && request.method === "POST") {
    // One that is over is as wanted.
    await options.attempts.releaseHold(ref);
    return new Response(null, { status: 204 });
  }
  const body = () => readJson(request, { maxBytes: options.maxBodyBytes, timeoutMs: 30_000 });
  if (match[3] === "/stop" && request.method === "POST") {
    return await stop(ref, parseCancelRequest(await body()), options);
  }
  if (match[3] === undefined && request.method === "PUT") {
    return await run(ref, parseAttemptOrder(await body()), options);
  }
  throw new CicdError("method_not_allowed", `Cannot ${request.method} "${pathname}"`);
}

async function run(
  ref: AttemptRef,
  order: AttemptInput,
  options: AgentServerOptions,
): Promise<Response> {
  if (order.spec.project !== ref.project) {
    throw new CicdError(
      "invalid_request",
      `Cannot run a job of project "${order.spec.project}": this is the agent of "${ref.project}"`,
    );
  }
  await options.attempts.begin(ref, order);
  const over = new AbortController();
  const lines = answerLines({ ref, hasCommit: order.spec.git !== undefined }, options, over);
  const encoder = new TextEncoder();
  return new Response(
    new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { value: line, done } = await lines.next();
        if (done === true) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`));
      },
      cancel: () => over.abort(new DOMException("The runner disconnected", "AbortError")),
    }, { highWaterMark: 0 }),
    { headers: { "content-type": "application/x-ndjson" } },
  );
}

/** Yields the lines of one answer until `over` aborts; awaits the end only once. */
async function* answerLines(
  { ref, hasCommit }: { readonly ref: AttemptRef; readonly hasCommit: boolean },
  { attempts, clock }: Pick<AgentServerOptions, "attempts" | "clock">,
  over: AbortController,
): AsyncGenerator<AttemptLine, void> {
  let end: { readonly outcome: AttemptOutcome } | { readonly error: unknown } | undefined;
  const conclude = (result: typeof end) => {
    end = result;
    over.abort(OVER);
  };
  void attempts.ended(ref).then((outcome) => conclude({ outcome }), (error) => conclude({ error }));
  let turn = new AbortController();
  const listening = attempts.onProgress(() => turn.abort(PROGRESSED));
  over.signal.addEventListener("abort", () => listening[Symbol.dispose](), { once: true });
  while (!over.signal.aborted) {
    turn = new AbortController();
    const doing = attempts.doing(ref);
    const commit = hasCommit ? await attempts.commit(ref) : undefined;
    yield {
      kind: "alive",
      ...(doing === undefined ? {} : { doing }),
      ...(commit === undefined ? {} : { commit }),
    };
    const nextAt = clock.now() + SIGN_OF_LIFE_MS;
    // Another attempt's progress wakes it too.
    while (attempts.doing(ref) === doing && clock.now() < nextAt && !over.signal.aborted) {
      if (turn.signal.aborted) turn = new AbortController();
      const signal = AbortSignal.any([over.signal, turn.signal]);
      try {
        await clock.sleep(nextAt - clock.now(), { signal });
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
    // Quick steps pass without a line each, which would wake both programs.
    if (attempts.doing(ref) !== doing && !over.signal.aborted) {
      await clock.sleep(PROGRESS_MS, { signal: over.signal }).catch(ignore("the loop checks it"));
    }
  }
  if (end === undefined) return;
  // Breaks the connection: the runner asks again and learns the state of the attempt.
  if ("error" in end) throw end.error;
  yield { kind: "ended", outcome: end.outcome };
}

/** Time in which steps that follow each other are one line. */
const PROGRESS_MS = 20;

const OVER = new DOMException("The attempt is over", "AbortError");
const PROGRESSED = new DOMException("An attempt goes on", "AbortError");

async function stop(
  ref: AttemptRef,
  why: CancelRequest,
  options: AgentServerOptions,
): Promise<Response> {
  if (await options.attempts.stop(ref, why)) return new Response(null, { status: 202 });
  throw new CicdError(
    "not_found",
    `Cannot stop attempt ${ref.number} of job "${ref.jobId}": the agent does not have it`,
  );
}
