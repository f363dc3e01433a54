/**
 * The whole HTTP API: the routes behind one router.
 *
 * @module
 */
import { Hono } from "hono";
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import { problemResponse } from "@lib/http/problem.ts";
import { eventRoutes } from "@lib/api/event_routes.ts";
import { jobRoutes } from "@lib/api/job_routes.ts";
import { logRoutes } from "@lib/api/log_routes.ts";
import type { ApiPorts } from "@lib/api/ports.ts";
import { projectRoutes } from "@lib/api/project_routes.ts";
import type { AnyRoute } from "@lib/api/route.ts";
import { retentionRoutes } from "@lib/api/retention_routes.ts";
import { runnerRoutes } from "@lib/api/runner_routes.ts";

/** Every route of the API. */
export function apiRoutes(ports: ApiPorts): readonly AnyRoute[] {
  return [
    ...jobRoutes(ports),
    ...logRoutes(ports),
    ...projectRoutes(ports),
    ...eventRoutes(ports),
    ...retentionRoutes(ports),
    ...runnerRoutes(ports),
  ];
}

/** Makes the handler of the API. */
export function apiHandler(ports: ApiPorts): (request: Request) => Promise<Response> {
  const routes = apiRoutes(ports);
  const app = new Hono();
  for (const { method, path, answer } of routes) {
    app.on(method, path, (context) => answer(context.req.raw, context.req.param()));
  }
  app.get("/openapi.json", async () => {
    // The schema converter is only needed here.
    const { openApiDocument } = await import("@lib/api/openapi.ts");
    return Response.json(openApiDocument(routes, ports.facts().version));
  });
  const paths = new Set(routes.map(({ path }) => path));
  app.notFound((context) => {
    const { path, method } = context.req;
    const known = [...paths].some((pattern) => matches(pattern, path));
    return problemResponse(
      known
        ? new CicdError("method_not_allowed", `Cannot ${method} "${path}": see /openapi.json`)
        : new CicdError("not_found", `Cannot find "${path}": see /openapi.json for the routes`),
    );
  });
  app.onError((thrown) => {
    const error = toCicdError(thrown);
    if (error.code === "internal") ports.log.error("A request met a defect", { error: thrown });
    return problemResponse(error);
  });
  return async (request) => {
    if (request.headers.has("origin")) {
      return problemResponse(
        new CicdError("cross_origin", "Cannot answer a web page: this API is for programs"),
      );
    }
    return await app.fetch(request);
  };
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.split("/");
  return wanted.length === given.length &&
    wanted.every((part, index) => part.startsWith(":") || part === given[index]);
}
