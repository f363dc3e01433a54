/**
 * The API of Gryt's CI agent on top of the queue.
 *
 * Keeps exactly what its clients rely on: paths, fields, statuses and the shape
 * of errors. See `docs/gryt.md`.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { RunnerServices } from "@lib/api/feature.ts";
import { quoted } from "@lib/api/access.ts";
import { LOG_QUERY, logSession } from "@lib/api/log_socket.ts";
import { type AnyRoute, type AnySocket, type ApiRequest, route, socket } from "@lib/api/route.ts";
import { CicdError } from "@lib/core/errors.ts";
import { executeGryt } from "@lib/features/gryt/execute.ts";
import { cancelGrytJob, findGrytJob } from "@lib/features/gryt/gryt_jobs.ts";
import {
  assertClientThere,
  grytError,
  grytFailure,
  noSuchPath,
  unprocessable,
} from "@lib/features/gryt/problems.ts";
import { HEADER_MISSING } from "@lib/features/gryt/request.ts";
import {
  grytAnswerSchema,
  grytDetailSchema,
  grytHealthSchema,
  grytInvalidSchema,
  grytJobSchema,
  grytRequestSchema,
  grytRootSchema,
} from "@lib/features/gryt/schemas.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";

const keyErrors = {
  401: { description: "The key is wrong", schema: grytDetailSchema },
  422: { description: "The key is missing, or the body is invalid", schema: grytInvalidSchema },
  429: { description: "Too many requests with a wrong key", schema: grytDetailSchema },
  500: {
    description: "No key is configured, or there is no container engine",
    schema: grytDetailSchema,
  },
} as const;

/** Failures to take a job. */
const executeErrors = {
  ...keyErrors,
  408: { description: "The body is late", schema: grytDetailSchema },
  413: { description: "The body is too large", schema: grytDetailSchema },
  429: {
    description: "Too many requests with a wrong key, or the queue is full",
    schema: grytDetailSchema,
  },
  502: { description: "The answer of another agent is lost", schema: grytDetailSchema },
  503: { description: "The queue is draining", schema: grytDetailSchema },
  507: { description: "Too little free disk space", schema: grytDetailSchema },
} as const;

const jobParams = {
  job_id: { type: "string", pattern: "^-?[0-9]{1,15}$" },
} as const;

const jobErrors = {
  ...keyErrors,
  404: { description: "Gryt has sent no such job", schema: grytDetailSchema },
} as const;

/** The routes of the Gryt-compatible API. */
export function grytRoutes(ports: RunnerServices, gryt: GrytService): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/",
      access: { scope: "none" },
      summary: "Name and version; with Gryt configured, as Gryt's agent reports them",
      query: {},
      answers: { 200: { description: "The service", schema: grytRootSchema } },
      errors: [],
      handle: (_, reply) => {
        const { apiKey, pullUrl } = gryt.settings();
        const isGryt = apiKey !== undefined || pullUrl !== undefined;
        return reply.json(200, {
          service: isGryt ? "Gryt CI Agent" : "cicd-toolkit",
          version: ports.facts().version,
          status: "running",
        });
      },
    }),
    route({
      method: "GET",
      path: "/health",
      access: { scope: "none" },
      summary: "Health of the runner, for monitoring",
      description:
        "`degraded`: jobs are currently not accepted or not run, or a Gryt key is configured and no " +
        "container engine answers. Never waits for a job.",
      query: {},
      answers: {
        200: { description: "Always, while the runner answers", schema: grytHealthSchema },
      },
      errors: [],
      handle: async (_, reply) => {
        const dockerAvailable = await gryt.engine.available();
        const needsDocker = gryt.settings().apiKey !== undefined;
        const isHealthy = ports.unreadyReasons().length === 0 && (dockerAvailable || !needsDocker);
        return reply.json(200, {
          status: isHealthy ? "healthy" : "degraded",
          version: ports.facts().version,
          docker_available: dockerAvailable,
        });
      },
    }),
    route({
      method: "POST",
      path: "/jobs/execute",
      ownKey: "grytKey",
      access: { scope: "none" },
      summary: "Run a Gryt pipeline and answer with its result",
      description:
        "Requires the pre-shared key in `X-API-Key`. Answers when the job has ended; a failed job is " +
        "answered with 200 and `success: false`. A client that disconnects and sends the same " +
        "request again joins the same job.",
      query: {},
      body: grytRequestSchema,
      answers: {
        200: { description: "The job has ended", schema: grytAnswerSchema },
        ...executeErrors,
      },
      errors: [],
      handle: async (call, reply) =>
        reply.raw(await guarded(ports, gryt, call, () => executeGryt(ports, gryt, call.request))),
    }),
    route({
      method: "GET",
      path: "/jobs/:job_id{-?[0-9]+}",
      ownKey: "grytKey",
      params: jobParams,
      access: { scope: "none" },
      summary: "State of a Gryt job",
      query: {},
      answers: { 200: { description: "The job", schema: grytJobSchema }, ...jobErrors },
      errors: [],
      handle: async (call, reply) => {
        return reply.raw(
          await guarded(ports, gryt, call, () => {
            const job = findGrytJob(ports, gryt, call.params["job_id"] ?? "");
            return job === undefined ? noSuchPath() : reply.json(200, toView(gryt, job));
          }),
        );
      },
    }),
    route({
      method: "POST",
      path: "/jobs/:job_id/cancel",
      ownKey: "grytKey",
      params: jobParams,
      access: { scope: "none" },
      summary: "Cancel a Gryt job",
      description: "Idempotent; a client that waits for the result gets `success: false`.",
      query: {},
      answers: {
        200: { description: "The job has ended", schema: grytJobSchema },
        202: { description: "The job is being stopped", schema: grytJobSchema },
        ...jobErrors,
      },
      errors: [],
      handle: async (call, reply) =>
        reply.raw(
          await guarded(ports, gryt, call, () => {
            const job = findGrytJob(ports, gryt, call.params["job_id"] ?? "");
            if (job === undefined) return noSuchPath();
            if (!isTerminal(job.state)) cancelGrytJob(ports, job.id);
            const now = ports.store.require(job.id);
            return reply.json(isTerminal(now.state) ? 200 : 202, toView(gryt, now));
          }),
        ),
    }),
  ];
}

type Call = Pick<ApiRequest<unknown>, "request" | "caller">;

/** Runs the handler if the key is right; every failure has the shape of this API. */
async function guarded(
  ports: RunnerServices,
  gryt: GrytService,
  call: Call,
  handle: () => Response | Promise<Response>,
): Promise<Response> {
  try {
    switch (checkKey(ports, gryt, call)) {
      case "missing":
        return unprocessable([HEADER_MISSING]);
      case "wrong":
        return grytError(401, "Invalid API key");
      case "not_configured":
        return grytError(500, "Agent not configured properly");
      case "right":
        return await handle();
    }
  } catch (thrown) {
    assertClientThere(call.request, thrown);
    if (!(thrown instanceof CicdError)) {
      ports.log.error("A request met a defect", { error: thrown });
    }
    return grytFailure(thrown);
  }
}

/** Checks `X-API-Key` in constant time, and counts failures of anonymous clients. */
function checkKey(ports: RunnerServices, gryt: GrytService, { request, caller }: Call) {
  const key = request.headers.get("x-api-key");
  const { apiKey } = gryt.settings();
  if (key !== null && apiKey === undefined) return "not_configured";
  const result = key === null || apiKey === undefined
    ? "missing"
    : timingSafeEqual(digest(key), digest(apiKey.expose()))
    ? "right"
    : "wrong";
  if (caller.kind === "anonymous" && result !== "right") {
    ports.authenticator.countFailure(caller.address, `the key of Gryt's API is ${result}`);
  }
  return result;
}

/** The comparison needs texts of one length. */
function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

function toView(gryt: GrytService, job: Job) {
  return {
    job_id: gryt.ledger.grytIdOf(job.id) ?? null,
    id: job.id,
    state: job.state,
    success: isTerminal(job.state) ? gryt.ledger.verdict(job) ?? null : null,
    logs: `/v1/jobs/${job.id}/logs`,
    artifacts: `/v1/jobs/${job.id}/artifacts`,
  };
}

/** The log of a Gryt job over a WebSocket, for clients with Gryt's own key. */
export function grytLogSocket(ports: RunnerServices, gryt: GrytService): AnySocket {
  return socket({
    path: "/jobs/:job_id/logs",
    access: { scope: "none" },
    query: LOG_QUERY,
    open: async (call) => {
      if (checkKey(ports, gryt, call) !== "right") {
        throw new CicdError(
          "unauthorized",
          "Cannot show logs: X-API-Key is not the key of Gryt's API",
        );
      }
      const id = call.params["job_id"] ?? "";
      const job = findGrytJob(ports, gryt, id);
      if (job !== undefined) return await logSession(ports, job, call.query);
      throw new CicdError(
        "job_not_found",
        `Cannot find job ${quoted(id)}: Gryt has sent no such job`,
      );
    },
  });
}
