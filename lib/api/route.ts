/**
 * Routes as data: the router, query validation and OpenAPI use the same object, and a handler's
 * answers are typed by the schemas that document them.
 *
 * @module
 */
import * as v from "valibot";
import { raceAbort } from "@lib/core/abort.ts";
import type { Caller } from "@lib/core/caller.ts";
import type { ErrorCode } from "@lib/core/error_codes.ts";
import { CicdError } from "@lib/core/errors.ts";
import { didYouMean } from "@lib/core/nearest.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Bounds, JsonSchema } from "@lib/core/json_schema.ts";
import { duration, integer, type ValueType } from "@lib/core/value_types.ts";
import type { WebSocketPeer, WebSocketSession } from "@lib/foundations/http/web_socket.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { Admission, RouteAccess } from "@lib/api/access.ts";

type QueryInput = string | readonly string[] | undefined;

/** The fields of a query string; every value arrives as text. */
export type QueryEntries = Readonly<Record<string, v.GenericSchema<QueryInput, unknown>>>;

type QueryOutput<Q extends QueryEntries> = { readonly [K in keyof Q]: v.InferOutput<Q[K]> };

/** A possible answer, for OpenAPI. */
export interface RouteAnswer {
  readonly description: string;
  /** Of a JSON body; absent for other bodies, which the handler makes itself. */
  readonly schema?: v.GenericSchema;
  /** @default {"application/json"} */
  readonly contentType?: string;
  /** Types of other bodies of this status. */
  readonly otherTypes?: readonly string[];
}

/** Answers by status. */
export type Answers = Readonly<Record<number, RouteAnswer>>;

/** A JSON value of a schema, made readonly. */
type Readable<T> = T extends readonly (infer Item)[] ? readonly Readable<Item>[]
  : T extends object ? { readonly [K in keyof T]: Readable<T[K]> }
  : T;

type JsonStatus<A extends Answers> = {
  [S in keyof A]: A[S] extends { readonly schema: v.GenericSchema } ? S : never;
}[keyof A];

type BodyOf<A> = A extends { readonly schema: infer S extends v.GenericSchema }
  ? Readable<v.InferInput<S>>
  : never;

/** The job or project that the path names, according to `access.by`. */
type Subject<A extends RouteAccess> = A extends { readonly by: "job" } ? { readonly job: Job }
  : A extends { readonly by: "project" } ? { readonly project: ProjectName }
  : unknown;

/** A request as a handler sees it, after the checks of `access`. */
export type ApiRequest<Query, A extends RouteAccess = RouteAccess> = Subject<A> & {
  readonly request: Request;
  /** Named parts of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly caller: Caller;
  /** Aborts when the client disconnects or its key is no longer valid; for answers that go on. */
  readonly signal: AbortSignal;
};

declare const documented: unique symbol;
/** A response whose body is one of the route's answers; made by {@linkcode Replier}. */
export type Reply = Response & { readonly [documented]: true };

/** Makes the replies of a route. */
export interface Replier<A extends Answers> {
  /** A JSON answer of the route; the body has the type of the schema that documents it. */
  json<S extends JsonStatus<A>>(
    status: S,
    body: BodyOf<A[S]>,
    headers?: Readonly<Record<string, string>>,
  ): Reply;
  /** A body that no schema describes: text, a stream, a file, a problem document. */
  raw(response: Response): Reply;
}

/** The part that routes and sockets share: the checks before a handler runs. */
interface Guarded<Query extends QueryEntries, A extends RouteAccess> {
  /** With parameters as `:name`; the last one may be `:name{[^]+}`, for the rest of the path. */
  readonly path: string;
  readonly access: A;
  /** @default {{}} */
  readonly query?: Query;
}

/** A route. */
export interface Route<Query extends QueryEntries, A extends Answers, Access extends RouteAccess>
  extends Guarded<Query, Access> {
  readonly method: "GET" | "POST";
  readonly summary: string;
  /** The security scheme of a route that checks a key by itself. */
  readonly ownKey?: "grytKey";
  readonly description?: string;
  /** The JSON Schemas of parts of the path that `access` does not check. */
  readonly params?: Readonly<Record<string, JsonSchema>>;
  readonly body?: v.GenericSchema;
  readonly answers: A;
  /** Codes beside those of `access`. @default {[]} */
  readonly errors?: readonly ErrorCode[];
  readonly handle: (
    request: ApiRequest<QueryOutput<Query>, Access>,
    reply: Replier<A>,
  ) => Reply | Promise<Reply>;
}

/** A WebSocket endpoint. */
export interface Socket<Query extends QueryEntries, Access extends RouteAccess>
  extends Guarded<Query, Access> {
  /** @throws {CicdError} Refuses the upgrade. */
  readonly open: (
    request: ApiRequest<QueryOutput<Query>, Access>,
  ) => WebSocketSession | Promise<WebSocketSession>;
}

/** A route or socket as the router calls it, without its own types. */
export interface AnyGuarded<T> extends Guarded<QueryEntries, RouteAccess> {
  readonly enter: (request: Request, admission: Admission) => T | Promise<T>;
}

/** A route as the router stores it. */
export interface AnyRoute
  extends AnyGuarded<Response>, Omit<Route<QueryEntries, Answers, RouteAccess>, "handle"> {}

/** A WebSocket endpoint as the router stores it. */
export type AnySocket = AnyGuarded<WebSocketSession>;

const replier: Replier<Answers> = {
  json: (status, body, headers = {}) =>
    jsonResponse(body, { status: Number(status), headers }) as Reply,
  raw: (response) => response as Reply,
};

/** Makes a route; its handler gets the parsed query and the subject of the path. */
export function route<
  const A extends Answers,
  const Access extends RouteAccess,
  const Query extends QueryEntries = Record<never, never>,
>(options: Route<Query, A, Access>): AnyRoute {
  const { handle, ...rest } = options;
  return { ...rest, enter: entry(options, (request) => handle(request, replier as Replier<A>)) };
}

/** Makes a WebSocket endpoint. */
export function socket<const Query extends QueryEntries, const Access extends RouteAccess>(
  options: Socket<Query, Access>,
): AnySocket {
  const { open, ...rest } = options;
  const enter = entry(options, open);
  return {
    ...rest,
    async enter(request, admission) {
      const session = await enter(request, admission);
      const over = admission.invalidated();
      return over === undefined ? session : endedBy(over, session);
    },
  };
}

/** Ends a session, even one that waits for its client, when a signal aborts. */
function endedBy(over: AbortSignal, session: WebSocketSession): WebSocketSession {
  const ended = (peer: WebSocketPeer) => {
    const signal = AbortSignal.any([peer.signal, over]);
    return session({
      signal,
      send: (data) => raceAbort(peer.send(data), signal),
      listen: peer.listen,
    });
  };
  return Object.assign(ended, session);
}

function entry<Query extends QueryEntries, Access extends RouteAccess, T>(
  { query: entries }: Guarded<Query, Access>,
  run: (request: ApiRequest<QueryOutput<Query>, Access>) => T | Promise<T>,
): AnyGuarded<T>["enter"] {
  const schema = v.strictObject(entries ?? {});
  return (request, { params, identify, resolve, invalidated }) => {
    const caller = identify();
    const query = parseQuery(request, schema);
    // `resolve` finds the subject that `access.by` names.
    const parsed = {
      request,
      params,
      caller,
      query,
      ...resolve(caller),
      // Made on demand: most answers end at once.
      get signal() {
        const over = invalidated();
        return over === undefined ? request.signal : AbortSignal.any([request.signal, over]);
      },
    };
    return run(parsed as ApiRequest<QueryOutput<Query>, Access>);
  };
}

function parseQuery(
  request: Request,
  schema: v.StrictObjectSchema<QueryEntries, undefined>,
): QueryOutput<QueryEntries> {
  const question = request.url.indexOf("?");
  const fields = new URLSearchParams(question < 0 ? "" : request.url.slice(question));
  const given = Object.fromEntries(
    [...fields].map(([name, value]) => [
      name,
      isRepeated(schema.entries[name]) ? fields.getAll(name) : value,
    ]),
  );
  const parsed = v.safeParse(schema, given);
  if (parsed.success) return parsed.output;
  const issues = parsed.issues.map((issue) => {
    // Parts of a parameter, such as the items of a list, have no names.
    const path = String(issue.path?.[0].key ?? "").slice(0, 80);
    const message = issue.expected === "never"
      ? `is not a known parameter${didYouMean(path, Object.keys(schema.entries))}`
      : issue.message;
    return { path: `query.${path}`, message };
  });
  const [first] = issues;
  const problem = `Cannot read the query: ${first?.path} ${first?.message}`;
  throw new CicdError("invalid_request", problem, { issues });
}

/** A flag in a query: `1`, `true`, or only its name. */
export const flag = v.optional(v.pipe(
  v.picklist(["", "0", "1", "true", "false"], "must be 1 or 0"),
  v.transform((text) => text === "" || text === "1" || text === "true"),
));

/** A parameter that may be repeated: each value is an item. */
export function repeated<Item extends v.GenericSchema<string, unknown>>(item: Item, max: number) {
  return v.optional(v.pipe(v.array(item), v.maxLength(max, `must be given ${max} times at most`)));
}

function isRepeated(schema: v.GenericSchema | undefined): boolean {
  return schema !== undefined && "wrapped" in schema && v.is(ARRAY, schema.wrapped);
}

const ARRAY = v.object({ type: v.literal("array") });

/** A whole number in a query. */
export function wholeNumber(bounds: Bounds) {
  return inQuery(integer(bounds));
}

/** A duration in a query, in milliseconds. */
export const queryDuration = inQuery(duration({ min: 0, max: 3_650 * 86_400_000 }));

/** A parameter of a query; its value arrives as text. */
export function inQuery<T>(type: ValueType<T>) {
  return v.optional(
    v.pipe(v.string(), v.metadata(inText(type.json)), v.transform(type.fromText), type.schema),
  );
}

/** Marks a measure as text: that is what a query has. */
function inText(json: JsonSchema): JsonSchema {
  const { measure } = json;
  return measure === undefined ? json : { ...json, measure: { ...Object(measure), isText: true } };
}

/** Makes a response of one line, so that a terminal's prompt begins on the next. */
export function jsonResponse(body: unknown, init: ResponseInit = {}): Response {
  const headers = new Headers(init.headers);
  headers.set("Content-Type", "application/json");
  return new Response(`${JSON.stringify(body)}\n`, { ...init, headers });
}
