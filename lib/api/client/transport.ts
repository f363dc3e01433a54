/**
 * Requests to the runner; errors say how to fix the failure.
 *
 * @module
 */
import {
  CicdError,
  type CicdErrorOptions,
  isNobodyListening,
  messageOf,
} from "@lib/core/errors.ts";
import { parseProblem } from "@lib/foundations/http/problem.ts";
import type { WebSocketTarget } from "@lib/foundations/http/web_socket_client.ts";
import type { UnixRequest, UnixResponse } from "@lib/foundations/http/unix_client.ts";
import type { AnswerReader } from "@lib/api/client/reading.ts";
import { answerDeadline } from "@lib/api/client/timing.ts";

/** The runner is unreachable, so its answer is unknown. */
export class ConnectionLostError extends CicdError {
  /** True if a process listens on the socket: the request may have arrived. */
  readonly isListening: boolean;

  constructor(message: string, options: CicdErrorOptions & { readonly isListening: boolean }) {
    super("runner_unavailable", message, options);
    this.isListening = options.isListening;
  }
}

/** Sends requests, as `UnixClient` does. */
export interface HttpSender extends Disposable {
  /** Where it sends to, for a WebSocket. */
  readonly target: Pick<WebSocketTarget, "at" | "headers" | "authority">;
  send(request: UnixRequest): Promise<UnixResponse>;
}

/** Options for {@linkcode RunnerTransport}. */
export interface TransportOptions {
  readonly sender: HttpSender;
  /** For messages: the path of the socket, or the address of a remote runner. */
  readonly socketPath: string;
  /** The runner is on another machine. @default {false} */
  readonly isRemote?: boolean;
  /** Time until an answer must begin, in milliseconds. @default {30_000} */
  readonly answerWithinMs?: number;
}

/** A request. */
export interface RunnerRequest {
  /** @default {"GET"} */
  readonly method?: "GET" | "POST";
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal: AbortSignal;
  /** Extra time for the answer, in milliseconds. @default {0} */
  readonly extraMs?: number;
}

/** A body. */
export interface ByteStream extends Disposable {
  readonly body: AsyncIterable<Uint8Array>;
}

/** Fields of a query; `undefined` ones are omitted, lists are repeated. */
export type QueryFields = Readonly<
  Record<string, string | number | readonly string[] | undefined>
>;

/** Returns the query of a path, with its question mark; empty without fields. */
export function queryOf(fields: QueryFields): string {
  const given = Object.entries(fields).flatMap(([name, value]) =>
    [value ?? []].flat().map((one) => [name, String(one)])
  );
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

/** Returns the path of a job. @param id A job's id, or a prefix of it. */
export function jobPath(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}

const PROBLEM_MAX_BYTES = 1024 * 1024;

/** Sends requests to one runner. */
export class RunnerTransport implements Disposable {
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** Path of the socket. */
  get socketPath(): string {
    return this.#options.socketPath;
  }

  /** Requests JSON and reads it. @throws As {@linkcode RunnerTransport.json} and `read` do. */
  async ask<T>(read: AnswerReader<T>, request: RunnerRequest): Promise<T> {
    return read(await this.json(request));
  }

  /**
   * Requests JSON.
   *
   * @throws {ConnectionLostError} If the runner is unreachable.
   * @throws {CicdError} The runner's refusal, or `deadline_exceeded`.
   */
  async json(request: RunnerRequest): Promise<unknown> {
    const { answerWithinMs = 30_000 } = this.#options;
    const timeoutMs = answerWithinMs + (request.extraMs ?? 0);
    using deadline = answerDeadline(request.signal, timeoutMs, "the runner's answer");
    using response = await this.open({ ...request, signal: deadline });
    try {
      return JSON.parse(await response.text());
    } catch (error) {
      if (deadline.aborted) throw deadline.reason;
      if (error instanceof SyntaxError) throw this.#noRunner(response.status);
      throw this.#lost(error, true);
    }
  }

  /**
   * Opens a body; its iteration throws {@linkcode ConnectionLostError} if it is cut off.
   *
   * @throws As {@linkcode RunnerTransport.json} does.
   */
  async open(request: RunnerRequest): Promise<UnixResponse> {
    const { method = "GET", path, headers, body, signal } = request;
    const { answerWithinMs = 30_000 } = this.#options;
    const timeoutMs = answerWithinMs + (request.extraMs ?? 0);
    // Of the header: the body may take any time.
    using deadline = answerDeadline(signal, timeoutMs, "the runner's answer");
    let response: UnixResponse;
    try {
      response = await this.#options.sender.send({
        method,
        path,
        headers: {
          accept: "application/json",
          ...headers,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        signal: AbortSignal.any([signal, deadline]),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      if (deadline.aborted) throw deadline.reason;
      throw this.#lost(error, !isNobodyListening(error));
    }
    if (response.status < 400) return this.#guarded(response, signal);
    using failed = response;
    throw await this.#refusal(failed, signal);
  }

  /**
   * Opens something other than an answer, such as a WebSocket, which needs modules that most commands
   * do not load.
   *
   * @throws As {@linkcode RunnerTransport.json} does.
   */
  async reach<T>(
    open: (target: HttpSender["target"], signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { answerWithinMs = 30_000, sender } = this.#options;
    using deadline = answerDeadline(signal, answerWithinMs, "the runner's answer");
    try {
      return await open(sender.target, deadline);
    } catch (error) {
      if (deadline.aborted) throw deadline.reason;
      if (error instanceof CicdError && error.code !== "io_failed") throw error;
      throw this.#lost(error, !isNobodyListening(error));
    }
  }

  [Symbol.dispose](): void {
    this.#options.sender[Symbol.dispose]();
  }

  async #refusal(response: UnixResponse, signal: AbortSignal): Promise<CicdError> {
    let text: string;
    try {
      text = await response.text(PROBLEM_MAX_BYTES);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      return this.#lost(error, true);
    }
    const problem = parseProblem(parsedOrUndefined(text));
    if (problem === undefined) return this.#noRunner(response.status);
    if (problem.code === "too_many_connections") return this.#lost(problem, true);
    const retryAfter = response.headers["retry-after"];
    if (retryAfter === undefined || !/^\d{1,6}$/.test(retryAfter)) return problem;
    return new CicdError(problem.code, `${problem.message}; try again in ${retryAfter} s`, {
      issues: problem.issues,
      retryAfterMs: Number(retryAfter) * 1_000,
    });
  }

  #guarded(response: UnixResponse, signal: AbortSignal): UnixResponse {
    const lost = (error: unknown) => this.#lost(error, true);
    return {
      status: response.status,
      headers: response.headers,
      text: (maxBytes) => response.text(maxBytes),
      get body() {
        return guardBody(response.body, signal, lost);
      },
      [Symbol.dispose]: () => response[Symbol.dispose](),
    };
  }

  #noRunner(status: number): CicdError {
    return new CicdError(
      "internal",
      `Cannot use "${this.socketPath}": the process that listens there is not cicd-runner (status ${status})`,
    );
  }

  #lost(error: unknown, isListening: boolean): ConnectionLostError {
    const runner = `the runner at "${this.socketPath}"`;
    const lost = (message: string, isHere = isListening) =>
      new ConnectionLostError(message, { cause: error, isListening: isHere });
    if (isPermissionDenied(error)) {
      return lost(`Cannot reach ${runner}: the socket belongs to another account`, false);
    }
    if (!isNobodyListening(error)) {
      return lost(`Lost the connection to ${runner}: ${messageOf(error)}`);
    }
    if (this.#options.isRemote === true) {
      return lost(
        `Cannot reach ${runner}: nothing listens there; check the address, and that ` +
          "listen.address is set on that machine",
      );
    }
    const state = error instanceof Deno.errors.NotFound
      ? "there is no such socket"
      : "nothing listens there";
    return lost(
      `Cannot reach ${runner}: ${state}; start it with ` +
        "'systemctl --user start cicd-runner.socket', or run 'cicd-runner daemon'",
    );
  }
}

async function* guardBody(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  lost: (error: unknown) => ConnectionLostError,
): AsyncGenerator<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  try {
    while (true) {
      let next: IteratorResult<Uint8Array>;
      try {
        next = await chunks.next();
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw lost(error);
      }
      if (next.done === true) return;
      // Outside the try: an error of the reader is not a lost connection.
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}

function isPermissionDenied(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause &&
    (cause.code === "EACCES" || cause.code === "EPERM");
}

/** Parses JSON; `undefined` if it is none. */
export function parsedOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
