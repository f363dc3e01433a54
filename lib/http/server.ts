/**
 * The one HTTP server of both programs: `node:http` on inherited or own
 * sockets, with a Fetch-style handler.
 *
 * `Deno.serve` cannot take over a listening descriptor, `node:http` can.
 *
 * @module
 */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { prepareSocketPath } from "@lib/http/socket_path.ts";
import { problemText } from "@lib/http/problem.ts";

/** Where to listen. */
export type Listener =
  /** A descriptor handed over by the service manager. */
  | { readonly kind: "fd"; readonly fd: number; readonly name: string }
  /** A Unix socket of our own, mode 0600. */
  | { readonly kind: "unix"; readonly path: string };

/** Bounds on what clients may do. */
export interface HttpLimits {
  /** Connections beyond this get a 503 and are closed. */
  readonly maxConnections: number;
  /** Bytes of request line and header fields together; more gets a 431. */
  readonly maxHeaderBytes: number;
  /** From the connection's (or the last answer's) end to the end of the header. */
  readonly headerTimeoutMs: number;
}

/** Options for {@linkcode startHttpServer}. */
export interface HttpServerOptions {
  readonly listeners: readonly Listener[];
  readonly limits: HttpLimits;
  readonly handle: (request: Request) => Response | Promise<Response>;
  /** Called for failures that no client can be told about. */
  readonly onError: (what: string, error: unknown) => void;
}

/** A listening server. Disposing stops listening, then ends what is still open. */
export interface HttpServer extends AsyncDisposable {
  /** Open connections, idle ones included. */
  readonly connections: number;
  /** Requests that have not been answered to the end. */
  readonly activeRequests: number;
  /** When the last request ended, in milliseconds since the epoch. */
  readonly lastActivityAt: number;
  /** Stops accepting; connections that are open may finish. */
  stopAccepting(): void;
  /** Resolves when no request is active, or rejects with the signal's reason. */
  drained(signal: AbortSignal): Promise<void>;
}

/**
 * Binds and serves.
 *
 * @throws {CicdError} `socket_in_use` if a path is taken.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const state = new ServerState(options);
  try {
    for (const listener of options.listeners) await state.listen(listener);
  } catch (error) {
    await state[Symbol.asyncDispose]();
    throw error;
  }
  return state;
}

class ServerState implements HttpServer {
  readonly #options: HttpServerOptions;
  readonly #servers: Server[] = [];
  readonly #ownPaths: string[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #idleWaiters = new Set<() => void>();
  #active = 0;
  #lastActivityAt = Date.now();

  constructor(options: HttpServerOptions) {
    this.#options = options;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  get activeRequests(): number {
    return this.#active;
  }

  get lastActivityAt(): number {
    return this.#lastActivityAt;
  }

  async listen(listener: Listener): Promise<void> {
    const server = this.#makeServer();
    this.#servers.push(server);
    if (listener.kind === "fd") {
      await listening(server, { fd: listener.fd });
      return;
    }
    await prepareSocketPath(listener.path);
    const umask = Deno.umask(0o177);
    try {
      await listening(server, { path: listener.path });
    } catch (error) {
      throw new CicdError(
        "socket_in_use",
        `Cannot listen on "${listener.path}": ${messageOf(error)}`,
        { cause: error },
      );
    } finally {
      Deno.umask(umask);
    }
    this.#ownPaths.push(listener.path);
  }

  stopAccepting(): void {
    for (const server of this.#servers) {
      if (server.listening) server.close();
      server.closeIdleConnections();
    }
    for (const path of this.#ownPaths.splice(0)) removeSocket(path);
  }

  drained(signal: AbortSignal): Promise<void> {
    if (this.#active === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#idleWaiters.delete(done);
        reject(signal.reason);
      };
      const done = () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#idleWaiters.add(done);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.stopAccepting();
    for (const socket of this.#sockets) socket.destroy();
    return Promise.resolve();
  }

  #makeServer(): Server {
    const { limits, handle, onError } = this.#options;
    const listener = getRequestListener(handle, {
      overrideGlobalObjects: false,
      errorHandler: (error) => {
        onError("A request could not be answered", error);
        return new Response(problemText("internal", "The request could not be answered"), {
          status: 500,
          headers: { "content-type": "application/problem+json" },
        });
      },
    });
    const server = createServer({
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headerTimeoutMs,
      requestTimeout: 0,
    });
    server.on("request", (request, response) => {
      this.#begin(response);
      void listener(request, response);
    });
    server.on("connection", (socket) => this.#admit(socket));
    server.on("clientError", (error, socket) => answerBrokenRequest(error, socket, limits));
    server.on("error", (error) => onError("The server socket failed", error));
    return server;
  }

  #admit(socket: Socket): void {
    if (this.#sockets.size >= this.#options.limits.maxConnections) {
      refuse(socket, 503, "Service Unavailable", "too_many_connections", [
        `More than ${this.#options.limits.maxConnections} connections are open`,
        "Retry-After: 1",
      ]);
      return;
    }
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  }

  #begin(response: ServerResponse): void {
    this.#active++;
    response.once("close", () => {
      this.#active--;
      this.#lastActivityAt = Date.now();
      if (this.#active > 0) return;
      for (const done of this.#idleWaiters) done();
      this.#idleWaiters.clear();
    });
  }
}

function listening(server: Server, where: { fd: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...where, backlog: 511 }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}

function answerBrokenRequest(error: Error, socket: unknown, limits: HttpLimits): void {
  if (!isSocket(socket) || socket.destroyed) return;
  const code = "code" in error ? error.code : undefined;
  // The client went away: there is nobody to answer.
  if (code === "ECONNRESET" || code === "EPIPE" || !socket.writable) {
    socket.destroy();
  } else if (code === "HPE_HEADER_OVERFLOW") {
    refuse(socket, 431, "Request Header Fields Too Large", "header_too_large", [
      `The header is longer than ${limits.maxHeaderBytes} bytes`,
    ]);
  } else if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    refuse(socket, 408, "Request Timeout", "request_timeout", [
      "The header did not arrive in time",
    ]);
  } else {
    refuse(socket, 400, "Bad Request", "invalid_request", ["The request is not valid HTTP/1.1"]);
  }
}

function refuse(
  socket: Socket,
  status: number,
  statusText: string,
  code: Parameters<typeof problemText>[0],
  [detail = "", ...headers]: readonly string[],
): void {
  const body = problemText(code, detail);
  socket.on("error", () => socket.destroy());
  socket.end([
    `HTTP/1.1 ${status} ${statusText}`,
    "Connection: close",
    "Content-Type: application/problem+json",
    `Content-Length: ${new TextEncoder().encode(body).length}`,
    ...headers,
    "",
    body,
  ].join("\r\n"));
}

function isSocket(value: unknown): value is Socket {
  return typeof value === "object" && value !== null && "destroy" in value && "end" in value;
}

function removeSocket(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
