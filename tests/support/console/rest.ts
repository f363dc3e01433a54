/**
 * The console's HTTP routes that an agent calls.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Instance, Instances } from "./instances.ts";
import { limiterKey, type StrictLimiter } from "./limiter.ts";
import { checkRegistration } from "./registration_rules.ts";
import type { RestFault, Script } from "./script.ts";

const MAX_BODY_BYTES = 1024 * 1024;
const ROOT = "/api/v1/instances";

/** A request as it came. */
export interface RestRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
  readonly body: string;
  /** Of the answer; 0 where there was none. */
  status: number;
}

/** What the routes work on. */
export interface RestContext {
  readonly keys: ReadonlySet<string>;
  readonly instances: Instances;
  readonly limiter: StrictLimiter;
  readonly script: Script;
  readonly onRequest: (request: RestRequest) => void;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Answers a request. */
export async function answerRest(
  context: RestContext,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const request: RestRequest = {
    method: message.method ?? "GET",
    path: new URL(message.url ?? "/", "http://console").pathname,
    headers: headersOf(message),
    body: await bodyOf(message),
    status: 0,
  };
  const scripted = scriptedFault(context.script, request);
  if (scripted?.kind === "cut") message.socket.destroy();
  if (scripted !== undefined && scripted.kind !== "answer") return context.onRequest(request);
  const answer = scripted === undefined ? route(context, request) : answerOf(scripted);
  request.status = answer.status;
  context.onRequest(request);
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(answer.body);
}

function scriptedFault(script: Script, { method, path }: RestRequest): RestFault | undefined {
  if (method === "POST" && path === ROOT) return script.register;
  if (method === "GET" && path.startsWith(`${ROOT}/`)) return script.lookup;
  return undefined;
}

function answerOf(fault: RestFault & { readonly kind: "answer" }): Answer {
  const { status, headers = {}, body = "" } = fault;
  return { status, headers, body };
}

function route(context: RestContext, request: RestRequest): Answer {
  const { method, path, headers } = request;
  const isLookup = method === "GET" && path.startsWith(`${ROOT}/`);
  if (!isLookup && !(method === "POST" && path === ROOT)) return problem(404, "Not Found");
  if (!context.keys.has(keyOf(headers) ?? "")) {
    return problem(401, "Unauthorized", { message: "Invalid API key" });
  }
  if (!isLookup) return register(context, request);
  const row = context.instances.byId(decodeURIComponent(path.slice(ROOT.length + 1)));
  return row === undefined ? problem(404, "Not Found") : rowAnswer(200, row);
}

function register({ instances, limiter }: RestContext, { headers, body }: RestRequest): Answer {
  const retryAfter = limiter.take(limiterKey(headers), Date.now());
  if (retryAfter !== undefined) {
    const answer = problem(429, "Too Many Requests");
    return { ...answer, headers: { "retry-after": String(retryAfter) } };
  }
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return problem(400, "Bad Request");
  }
  const verdict = checkRegistration(value);
  if (!verdict.ok) return problem(422, "Validation Error", { details: verdict.details });
  return rowAnswer(201, instances.register(verdict.registration));
}

/** Returns the key of a request: of `Authorization`, else of `X-Api-Key`. */
export function keyOf(headers: Headers): string | undefined {
  const bearer = /^Bearer (\S+)$/.exec(headers.get("authorization") ?? "")?.[1];
  return bearer ?? headers.get("x-api-key") ?? undefined;
}

/** Returns the headers of a request. */
export function headersOf({ headers }: IncomingMessage): Headers {
  return new Headers(
    Object.entries(headers).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(", ") : value]]
    ),
  );
}

function rowAnswer(status: number, row: Instance): Answer {
  const { id, name, provider, region, distro, extensions } = row;
  const at = new Date(0).toISOString();
  const body = {
    id,
    name,
    provider,
    region: region ?? null,
    distro: distro ?? null,
    extensions,
    configHash: null,
    sshEndpoint: null,
    status: row.status,
    createdAt: at,
    updatedAt: at,
  };
  return { status, body: JSON.stringify(body) };
}

function problem(status: number, error: string, more: object = {}): Answer {
  return { status, body: JSON.stringify({ error, ...more }) };
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of message) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_BODY_BYTES) throw new Error("The body of a request is too large");
  }
  return text + decoder.decode();
}
