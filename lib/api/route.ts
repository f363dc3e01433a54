/**
 * A route as data: what the router calls, what validates the query, and what
 * OpenAPI tells are the same object.
 *
 * @module
 */
import * as v from "valibot";
import type { ErrorCode } from "@lib/core/error_codes.ts";
import { CicdError } from "@lib/core/errors.ts";
import { parseDuration } from "@lib/core/duration.ts";
import { didYouMean } from "@lib/core/nearest.ts";
import { type JobId, parseJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { projectNameProblem } from "@lib/core/ids.ts";
import type { Admitted, Caller, RouteAccess } from "@lib/api/access.ts";

/** The fields of a query string; every value arrives as text. */
export type QueryEntries = Readonly<Record<string, v.GenericSchema<string | undefined, unknown>>>;

type QueryOutput<Q extends QueryEntries> = { readonly [K in keyof Q]: v.InferOutput<Q[K]> };

/** A request as a handler sees it. */
export interface ApiRequest<Query> {
  readonly request: Request;
  /** Named parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  /** Who asks; what the route's `access` wants of them has been checked. */
  readonly caller: Caller;
}

/** A possible answer, for OpenAPI. */
export interface RouteAnswer {
  readonly description: string;
  readonly schema?: v.GenericSchema;
  /** @default {"application/json"} */
  readonly contentType?: string;
}

/** A route. */
export interface Route<Query extends QueryEntries = QueryEntries> {
  readonly method: "GET" | "POST";
  /** With parameters as `:name`; the last one may be `:name{[^]+}`, for all that is left. */
  readonly path: string;
  /** What it asks of its caller. */
  readonly access: RouteAccess;
  readonly summary: string;
  readonly description?: string;
  readonly query: Query;
  readonly body?: v.GenericSchema;
  /** By status. */
  readonly answers: Readonly<Record<number, RouteAnswer>>;
  readonly errors: readonly ErrorCode[];
  readonly handle: (request: ApiRequest<QueryOutput<Query>>) => Response | Promise<Response>;
}

/** A route whose query type is forgotten, as the router keeps it. */
export interface AnyRoute extends Omit<Route, "handle"> {
  /** The caller has passed `admit`. */
  readonly answer: (request: Request, admitted: Admitted) => Response | Promise<Response>;
}

/** Makes a route; its handler gets the parsed query. */
export function route<Query extends QueryEntries>(options: Route<Query>): AnyRoute {
  const { handle, ...rest } = options;
  const schema = v.strictObject(options.query);
  return {
    ...rest,
    answer: (request, { params, caller }) =>
      handle({ request, params, caller, query: parseQuery(request, schema, options.query) }),
  };
}

/** Reads the query of a request. @throws {CicdError} `invalid_request` */
export function readQuery<Query extends QueryEntries>(
  request: Request,
  entries: Query,
): QueryOutput<Query> {
  return parseQuery(request, v.strictObject(entries), entries);
}

function parseQuery<Query extends QueryEntries>(
  request: Request,
  schema: v.StrictObjectSchema<Query, undefined>,
  entries: Query,
): QueryOutput<Query> {
  const question = request.url.indexOf("?");
  const given = question < 0
    ? {}
    : Object.fromEntries(new URLSearchParams(request.url.slice(question)));
  const parsed = v.safeParse(schema, given);
  if (parsed.success) return parsed.output as QueryOutput<Query>;
  const issues = parsed.issues.map((issue) => {
    // A parameter's own parts, such as the items of a list, have no names.
    const path = String(issue.path?.[0].key ?? "").slice(0, 80);
    const message = issue.expected === "never"
      ? `is not a known parameter${didYouMean(path, Object.keys(entries))}`
      : issue.message;
    return { path: `query.${path}`, message };
  });
  const [first] = issues;
  throw new CicdError(
    "invalid_request",
    `Cannot read the query: ${first?.path} ${first?.message}`,
    {
      issues,
    },
  );
}

/** A flag in a query: `1`, `true`, or nothing but its name. */
export const flag = v.optional(v.pipe(
  v.picklist(["", "0", "1", "true", "false"], "must be 1 or 0"),
  v.transform((text) => text === "" || text === "1" || text === "true"),
));

/** A whole number in a query. */
export function wholeNumber(bounds: { readonly min: number; readonly max: number }) {
  const { min, max } = bounds;
  return v.optional(v.pipe(
    v.string(),
    v.regex(/^\d{1,15}$/, "must be a whole number"),
    v.transform(Number),
    v.minValue(min, `must be at least ${min}`),
    v.maxValue(max, `must be at most ${max}`),
  ));
}

/** A duration in a query, in milliseconds. */
export const queryDuration = v.optional(v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const ms = parseDuration(dataset.value);
    if (ms !== undefined) return ms;
    addIssue({ message: 'must be a duration such as "30s"' });
    return NEVER;
  }),
));

/** Reads the job id of a path. */
export function jobIdOf(params: Readonly<Record<string, string>>): JobId {
  const text = params["id"] ?? "";
  const id = parseJobId(text);
  if (id !== undefined) return id;
  throw new CicdError("job_not_found", `Cannot find job ${quoted(text)}: that is no job id`);
}

/** Reads the project of a path. */
export function projectOf(params: Readonly<Record<string, string>>): ProjectName {
  const text = params["project"] ?? "";
  const project = parseProjectName(text);
  if (project !== undefined) return project;
  throw new CicdError(
    "project_not_found",
    `Cannot find project ${quoted(text)}: the name ${projectNameProblem(text)}`,
  );
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
