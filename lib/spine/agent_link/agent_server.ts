/**
 * The agent's side of the link.
 *
 * @module
 */
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import type { Clock } from "@lib/core/clock.ts";
import { parseJobId, type ProjectName } from "@lib/core/ids.ts";
import { readJson } from "@lib/foundations/http/body.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";
import {
  type AgentStatus,
  type AttemptLine,
  type AttemptOrder,
  parseAttemptOrder,
  parseCancelRequest,
  SIGN_OF_LIFE_MS,
} from "@lib/spine/agent_link/protocol.ts";

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
  readonly status: (signal: AbortSignal) => Promise<AgentStatus>;
  readonly clock: Clock;
  readonly maxBodyBytes: number;
  /** Told of failures that are the agent's own. */
  readonly onError: (error: unknown) => void;
}

/** Makes the handler of the agent's socket. */
export function agentHandler(options: AgentServerOptions): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      return await route(request, options);
    } catch (thrown) {
      const error = toCicdError(thrown);
      // The runner says itself that it could not go on, and why; a defect it is not told.
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
  const answer = new AttemptAnswer(options.attempts.ended(ref), options.clock);
  const encoder = new TextEncoder();
  return new Response(
    new ReadableStream<Uint8Array>({
      async pull(controller) {
        const line = await answer.next();
        if (line === undefined) controller.close();
        else controller.enqueue(encoder.encode(`${JSON.stringify(line)}\n`));
      },
      cancel: () => answer[Symbol.dispose](),
    }, { highWaterMark: 0 }),
    { headers: { "content-type": "application/x-ndjson" } },
  );
}

/** How the wait for an attempt's end went. */
type AttemptEnd = { readonly outcome: AttemptOutcome } | { readonly error: unknown };

/** The lines of one answer; takes one look at the end, however long the attempt lives. */
class AttemptAnswer implements Disposable {
  readonly #clock: Clock;
  readonly #awake = new AbortController();
  #end: AttemptEnd | undefined;
  #told: "nothing" | "alive" | "ended" = "nothing";

  constructor(ended: Promise<AttemptOutcome>, clock: Clock) {
    this.#clock = clock;
    void ended.then(
      (outcome) => this.#conclude({ outcome }),
      (error: unknown) => this.#conclude({ error }),
    );
  }

  /** The next line, after a while; `undefined` after the last. */
  async next(): Promise<AttemptLine | undefined> {
    if (this.#told === "ended") return undefined;
    if (this.#told === "alive" && this.#end === undefined) await this.#rest();
    if (this.#end === undefined || this.#told === "nothing") {
      this.#told = "alive";
      return { kind: "alive" };
    }
    // Breaks the connection: the runner asks again, and learns how the attempt stands.
    if ("error" in this.#end) throw this.#end.error;
    this.#told = "ended";
    return { kind: "ended", outcome: this.#end.outcome };
  }

  [Symbol.dispose](): void {
    this.#conclude({ error: new DOMException("The runner went away", "AbortError") });
  }

  #conclude(end: AttemptEnd): void {
    this.#end ??= end;
    this.#awake.abort(new DOMException("The attempt is over", "AbortError"));
  }

  async #rest(): Promise<void> {
    const { signal } = this.#awake;
    try {
      await this.#clock.sleep(SIGN_OF_LIFE_MS, { signal });
    } catch (error) {
      if (!signal.aborted) throw error;
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
