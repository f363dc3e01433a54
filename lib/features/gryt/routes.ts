/**
 * The API of Gryt's CI agent on top of the queue.
 *
 * What its clients rely on is kept to the letter: paths, fields, statuses, the
 * shape of errors. See `docs/gryt.md`.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { checkApiKey } from "@lib/features/gryt/api_key.ts";
import { HEADER_MISSING } from "@lib/features/gryt/request.ts";
import type { GrytService } from "@lib/features/gryt/service.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import {
  assertClientThere,
  grytError,
  grytFailure,
  noSuchPath,
  unprocessable,
  wrongMethod,
} from "@lib/features/gryt/problems.ts";
import { executeGryt } from "@lib/features/gryt/execute.ts";
import { cancelGrytJob, findGrytJob } from "@lib/features/gryt/find_job.ts";
import {
  grytAnswerSchema,
  grytDetailSchema,
  grytHealthSchema,
  grytJobSchema,
  grytRequestSchema,
  grytRootSchema,
} from "@lib/features/gryt/schemas.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { quoted } from "@lib/api/find_job.ts";
import { LOG_QUERY, logSession } from "@lib/api/log_socket.ts";
import { type AnyRoute, type AnySocket, type ApiRequest, route, socket } from "@lib/api/route.ts";

const keyErrors = {
  401: { description: "The key is wrong", schema: grytDetailSchema },
  422: { description: "The key is missing, or the body cannot be read" },
  500: { description: "No key is configured, or there is no container engine" },
} as const;

/** The routes of the Gryt-compatible API. */
export function grytRoutes(ports: RunnerServices, gryt: GrytService): readonly AnyRoute[] {
  return [
    route({
      method: "GET",
      path: "/",
      access: { scope: "none" },
      summary: "Name and version, as Gryt's agent tells them",
      query: {},
      answers: { 200: { description: "The service", schema: grytRootSchema } },
      errors: [],
      handle: (_, reply) =>
        reply.json(200, {
          service: "Gryt CI Agent",
          version: ports.facts().version,
          status: "running",
        }),
    }),
    route({
      method: "GET",
      path: "/health",
      access: { scope: "none" },
      summary: "Whether the runner works, for monitors",
      description:
        "`degraded`: jobs are not accepted or not run now, or a Gryt key is configured and no " +
        "container engine answers. Never waits for a job.",
      query: {},
      answers: {
        200: { description: "Always, while the runner answers", schema: grytHealthSchema },
      },
      errors: [],
      handle: async (_, reply) => {
        const dockerAvailable = await gryt.engine.available();
        const needsDocker = gryt.settings().apiKey !== undefined;
        const isWell = ports.unreadyReasons().length === 0 && (dockerAvailable || !needsDocker);
        return reply.json(200, {
          status: isWell ? "healthy" : "degraded",
          version: ports.facts().version,
          docker_available: dockerAvailable,
        });
      },
    }),
    route({
      method: "POST",
      path: "/jobs/execute",
      access: { scope: "none" },
      summary: "Run a Gryt pipeline and answer with its result",
      description:
        "Needs the pre-shared key in `X-API-Key`. Answers when the job has ended; a job that fails " +
        "is answered with 200 and `success: false`. A client that went away and sends the same " +
        "again joins the same job.",
      query: {},
      body: grytRequestSchema,
      answers: {
        200: { description: "The job has ended", schema: grytAnswerSchema },
        ...keyErrors,
      },
      errors: [],
      handle: async (asked, reply) =>
        reply.raw(await guarded(ports, gryt, asked, () => executeGryt(ports, gryt, asked.request))),
    }),
    route({
      method: "GET",
      path: "/jobs/:job_id",
      access: { scope: "none" },
      summary: "How far a Gryt job is",
      query: {},
      answers: { 200: { description: "The job", schema: grytJobSchema }, ...keyErrors },
      errors: [],
      handle: async ({ request, caller, params }, reply) => {
        if (params["job_id"] === "execute") return reply.raw(wrongMethod(["POST"]));
        return reply.raw(
          await guarded(ports, gryt, { request, caller }, () => {
            const job = findGrytJob(ports, gryt, params["job_id"] ?? "");
            return job === undefined ? noSuchPath() : reply.json(200, toView(gryt, job));
          }),
        );
      },
    }),
    route({
      method: "POST",
      path: "/jobs/:job_id/cancel",
      access: { scope: "none" },
      summary: "Cancel a Gryt job",
      description: "Idempotent; who waits for the result gets it, with `success: false`.",
      query: {},
      answers: {
        200: { description: "The job has ended", schema: grytJobSchema },
        202: { description: "The job is being stopped", schema: grytJobSchema },
        ...keyErrors,
      },
      errors: [],
      handle: async ({ request, caller, params }, reply) =>
        reply.raw(
          await guarded(ports, gryt, { request, caller }, () => {
            const job = findGrytJob(ports, gryt, params["job_id"] ?? "");
            if (job === undefined) return noSuchPath();
            if (!isTerminal(job.state)) cancelGrytJob(ports, job, "by the main API");
            const now = ports.store.require(job.id);
            return reply.json(isTerminal(now.state) ? 200 : 202, toView(gryt, now));
          }),
        ),
    }),
  ];
}

/** Lets a request with the right key pass; every failure has the shape of this API. */
async function guarded(
  ports: RunnerServices,
  gryt: GrytService,
  { request, caller }: Pick<ApiRequest<unknown>, "request" | "caller">,
  answer: () => Response | Promise<Response>,
): Promise<Response> {
  try {
    const check = checkApiKey(request.headers.get("x-api-key"), gryt.settings().apiKey);
    if (caller.kind === "anonymous" && (check === "missing" || check === "wrong")) {
      ports.authenticator.countFailure(caller.address, `the key of Gryt's API is ${check}`);
    }
    switch (check) {
      case "missing":
        return unprocessable([HEADER_MISSING]);
      case "wrong":
        return grytError(401, "Invalid API key");
      case "not_configured":
        return grytError(500, "Agent not configured properly");
      case "right":
        return await answer();
    }
  } catch (thrown) {
    assertClientThere(request, thrown);
    if (!(thrown instanceof CicdError)) {
      ports.log.error("A request met a defect", { error: thrown });
    }
    return grytFailure(thrown);
  }
}

function toView(gryt: GrytService, job: Job) {
  return {
    job_id: gryt.ledger.grytIdOf(job.id) ?? null,
    id: job.id,
    state: job.state,
    success: isTerminal(job.state) ? gryt.ledger.judgement(job) ?? null : null,
    logs: `/v1/jobs/${job.id}/logs`,
    artifacts: `/v1/jobs/${job.id}/artifacts`,
  };
}

/** The log of a Gryt job over a WebSocket, for those who have Gryt's own key. */
export function grytLogSocket(ports: RunnerServices, gryt: GrytService): AnySocket {
  return socket({
    path: "/jobs/:job_id/logs",
    access: { scope: "none" },
    query: LOG_QUERY,
    open: async ({ request, caller, params, query }) => {
      const check = checkApiKey(request.headers.get("x-api-key"), gryt.settings().apiKey);
      if (check !== "right") {
        if (caller.kind === "anonymous") {
          ports.authenticator.countFailure(caller.address, `the key of Gryt's API is ${check}`);
        }
        throw new CicdError(
          "unauthorized",
          "Cannot show logs: X-API-Key is not the key of Gryt's API",
        );
      }
      const id = params["job_id"] ?? "";
      const job = findGrytJob(ports, gryt, id);
      if (job !== undefined) return await logSession(ports, job, query);
      throw new CicdError(
        "job_not_found",
        `Cannot find job ${quoted(id)}: Gryt has sent no such job`,
      );
    },
  });
}
