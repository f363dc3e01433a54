/**
 * The whole HTTP API: the routes behind one router.
 *
 * @module
 */
import { Hono } from "hono";
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import { artifactRoutes } from "@lib/features/artifacts/artifact_routes.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { admit } from "@lib/api/access.ts";
import { eventRoutes } from "@lib/features/jobs/event_routes.ts";
import { isGrytPath, noSuchPath, wrongMethod } from "@lib/features/gryt/problems.ts";
import { grytRoutes } from "@lib/features/gryt/routes.ts";
import { housekeepingRoutes } from "@lib/features/cleaning/housekeeping_routes.ts";
import { jobRoutes } from "@lib/features/jobs/job_routes.ts";
import { keyRoutes } from "@lib/features/access/key_routes.ts";
import { logRoutes } from "@lib/features/jobs/log_routes.ts";
import type { ApiPorts } from "@lib/api/ports.ts";
import { projectRoutes } from "@lib/features/status/project_routes.ts";
import type { AnyRoute } from "@lib/api/route.ts";
import { retentionRoutes } from "@lib/features/cleaning/retention_routes.ts";
import { runnerRoutes } from "@lib/features/status/runner_routes.ts";

/** Every route of the API. */
export function apiRoutes(ports: ApiPorts): readonly AnyRoute[] {
  return [
    ...jobRoutes(ports),
    ...logRoutes(ports),
    ...artifactRoutes(ports),
    ...projectRoutes(ports),
    ...eventRoutes(ports),
    ...retentionRoutes(ports),
    ...housekeepingRoutes(ports),
    ...keyRoutes(ports),
    ...runnerRoutes(ports),
    ...grytRoutes(ports),
  ];
}

/** Makes the handler of the API; no route is called before its caller was admitted. */
export function apiHandler(
  ports: ApiPorts,
): (request: Request, origin: Origin) => Promise<Response> {
  const routes = apiRoutes(ports);
  const app = new Hono<{ Bindings: { readonly origin: Origin } }>();
  for (const route of routes) {
    app.on(route.method, route.path, (context) => {
      const { raw: request } = context.req;
      const { headers } = request;
      const question = { headers, params: context.req.param(), origin: context.env.origin };
      return route.answer(request, admit(ports, route, question));
    });
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
      if (isGrytPath(path)) return noSuchPath();
      return problemResponse(
        new CicdError("not_found", `Cannot find "${shown}": see /openapi.json for the routes`),
      );
    }
    const allowed = [...new Set(methods.includes("GET") ? [...methods, "HEAD"] : methods)];
    if (isGrytPath(path)) return wrongMethod(allowed);
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
  return async (request, origin) => {
    try {
      refuseWebPages(request);
      return await app.fetch(request, { origin });
    } catch (thrown) {
      // The router passes on what is no Error, such as the reason of an abort.
      return failed(thrown, request);
    }
  };
}

/** @throws {CicdError} `cross_origin` */
export function refuseWebPages(request: Request): void {
  if (!request.headers.has("origin")) return;
  throw new CicdError("cross_origin", "Cannot answer a web page: this API is for programs");
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.split("/");
  // A last part such as `:path{[^]+}` stands for all that is left.
  const isOpen = wanted.at(-1)?.endsWith("{[^]+}") === true;
  return (isOpen ? wanted.length <= given.length : wanted.length === given.length) &&
    wanted.every((part, index) => part.startsWith(":") || part === given[index]);
}
