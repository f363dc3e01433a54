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
  const known = [...routes, { method: "GET", path: "/openapi.json" }];
  app.notFound(({ req: { path, method } }) => {
    const shown = path.length > 80 ? `${path.slice(0, 80)}…` : path;
    const methods = known.filter((one) => matches(one.path, path)).map((one) => one.method);
    if (methods.length === 0) {
      return problemResponse(
        new CicdError("not_found", `Cannot find "${shown}": see /openapi.json for the routes`),
      );
    }
    const allowed = [...new Set(methods.includes("GET") ? [...methods, "HEAD"] : methods)];
    const response = problemResponse(
      new CicdError(
        "method_not_allowed",
        `Cannot ${method} "${shown}": it takes ${allowed.join(", ")}`,
      ),
    );
    response.headers.set("allow", allowed.join(", "));
    return response;
  });
  const failed = (thrown: unknown, request: Request): Response => {
    const error = toCicdError(thrown);
    // A client that went away made its own request fail.
    if (error.code === "internal" && !request.signal.aborted) {
      ports.log.error("A request met a defect", { error: thrown });
    }
    return problemResponse(error);
  };
  app.onError((thrown, context) => failed(thrown, context.req.raw));
  return async (request) => {
    if (request.headers.has("origin")) {
      return problemResponse(
        new CicdError("cross_origin", "Cannot answer a web page: this API is for programs"),
      );
    }
    try {
      return await app.fetch(request);
    } catch (thrown) {
      // The router passes on what is no Error, such as the reason of an abort.
      return failed(thrown, request);
    }
  };
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.split("/");
  return wanted.length === given.length &&
    wanted.every((part, index) => part.startsWith(":") || part === given[index]);
}
