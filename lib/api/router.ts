/**
 * The router: finds the route of a request, admits its caller, and answers failures with problem
 * documents.
 *
 * @module
 */
import { TrieRouter } from "hono/router/trie-router";
import { getPath, tryDecode } from "hono/utils/url";
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";
import type { WebSocketSession } from "@lib/foundations/http/web_socket.ts";
import { admission, type Authenticator, type JobLookup, quoted } from "@lib/api/access.ts";
import {
  type AnyGuarded,
  type AnyRoute,
  type AnySocket,
  jsonResponse,
  route,
} from "@lib/api/route.ts";

/** An API under other paths, with error answers of its own. */
export interface ForeignPaths {
  owns(path: string): boolean;
  notFound(): Response;
  methodNotAllowed(allowed: readonly string[]): Response;
}

/** Options for {@linkcode makeRouter}. */
export interface RouterOptions {
  readonly routes: readonly AnyRoute[];
  readonly sockets: readonly AnySocket[];
  readonly foreignPaths: readonly ForeignPaths[];
  readonly authenticator: Authenticator;
  readonly jobs: JobLookup;
  readonly version: string;
  readonly log: Logger;
}

/** Answers requests. */
export interface Router {
  handle(request: Request, origin: Origin): Promise<Response>;
  /** @throws {CicdError} Refuses the upgrade. */
  upgrade(request: Request, origin: Origin): Promise<WebSocketSession>;
}

type Found<T> = { readonly to: T; readonly params: Readonly<Record<string, string>> };

/** The pseudo method of WebSocket endpoints. */
const UPGRADE = "UPGRADE";

/** Makes the router of a program's API. */
export function makeRouter(options: RouterOptions): Router {
  const { routes, sockets, log } = options;
  const http = new TrieRouter<AnyRoute>();
  for (const one of [...routes, openApiRoute(options)]) http.add(one.method, one.path, one);
  const upgrades = new TrieRouter<AnySocket>();
  for (const one of sockets) upgrades.add(UPGRADE, one.path, one);
  const report = (thrown: unknown, request: Request): CicdError => {
    const error = toCicdError(thrown);
    // After a disconnect, the failure is of the client's making.
    if (error.code === "internal" && !request.signal.aborted) {
      log.error("A request failed because of a defect", { error: thrown });
    }
    return error;
  };
  const enter = <T>({ to, params }: Found<AnyGuarded<T>>, request: Request, origin: Origin) =>
    to.enter(request, admission(to.access, { headers: request.headers, params, origin }, options));
  return {
    async handle(request, origin) {
      try {
        refuseWebPages(request);
        const path = getPath(request);
        const isHead = request.method === "HEAD";
        const found = find(http, isHead ? "GET" : request.method, path);
        if (found === undefined) return missing(http, request.method, path, options.foreignPaths);
        const response = await enter(found, request, origin);
        if (!isHead) return response;
        await response.body?.cancel();
        return new Response(null, response);
      } catch (thrown) {
        return problemResponse(report(thrown, request));
      }
    },
    async upgrade(request, origin) {
      try {
        refuseWebPages(request);
        const found = find(upgrades, UPGRADE, getPath(request));
        if (found === undefined) {
          throw new CicdError(
            "not_found",
            `Cannot open a WebSocket there: try ${sockets.map(({ path }) => path).join(", ")}`,
          );
        }
        return await enter(found, request, origin);
      } catch (thrown) {
        throw report(thrown, request);
      }
    },
  };
}

/** @throws {CicdError} `cross_origin` */
function refuseWebPages(request: Request): void {
  if (!request.headers.has("origin")) return;
  throw new CicdError("cross_origin", "Cannot answer a web page: this API is for programs");
}

function find<T>(router: TrieRouter<T>, method: string, path: string): Found<T> | undefined {
  const [matches] = router.match(method, path);
  const [first] = matches;
  if (first === undefined) return undefined;
  const [to, params] = first;
  const decoded = Object.entries(params).map(([name, value]) => [
    name,
    String(value).includes("%") ? tryDecode(String(value), decodeURIComponent) : String(value),
  ]);
  return { to, params: Object.fromEntries(decoded) };
}

/** Answers a request without a route: 404, or 405 with the allowed methods. */
function missing(
  http: TrieRouter<AnyRoute>,
  method: string,
  path: string,
  foreignPaths: readonly ForeignPaths[],
): Response {
  const foreign = foreignPaths.find((each) => each.owns(path));
  const methods = ["GET", "POST"].filter((each) => find(http, each, path) !== undefined);
  if (methods.length === 0) {
    return foreign?.notFound() ?? problemResponse(
      new CicdError("not_found", `Cannot find ${quoted(path)}: see /openapi.json for the routes`),
    );
  }
  const allowed = methods.includes("GET") ? [...methods, "HEAD"] : methods;
  if (foreign !== undefined) return foreign.methodNotAllowed(allowed);
  const response = problemResponse(
    new CicdError(
      "method_not_allowed",
      `Cannot ${method} ${quoted(path)}: it allows ${allowed.join(", ")}`,
    ),
  );
  response.headers.set("allow", allowed.join(", "));
  return response;
}

function openApiRoute({ routes, version }: RouterOptions): AnyRoute {
  return route({
    method: "GET",
    path: "/openapi.json",
    access: { scope: "none" },
    summary: "Get this OpenAPI document",
    answers: { 200: { description: "OpenAPI 3.1" } },
    handle: async (_, reply) => {
      // The schema converter is only needed here.
      const { openApiDocument } = await import("@lib/api/openapi.ts");
      return reply.raw(jsonResponse(openApiDocument(routes, version)));
    },
  });
}
