/**
 * The one HTTP server of both programs: `node:http` on inherited or own
 * sockets, with a Fetch-style handler.
 *
 * `Deno.serve` cannot take over a listening descriptor, `node:http` can.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Socket } from "node:net";
import { getRequestListener, RequestError } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { CicdError, ignore, messageOf } from "@lib/core/errors.ts";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { Connections } from "@lib/http/connections.ts";
import { problemResponse } from "@lib/http/problem.ts";
import { refuse, refuseBroken } from "@lib/http/refusal.ts";
import { sendResponse } from "@lib/http/send_response.ts";
import { prepareSocketPath } from "@lib/http/socket_path.ts";

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
  /** Must not throw: what does is answered with a 500. */
  readonly handle: (request: Request) => Response | Promise<Response>;
  /**
   * Keeps a listening descriptor from every child: one that outlives this process and holds it
   * would make clients wait at a socket that nobody serves.
   */
  readonly keepFromChildren: (fd: number) => void;
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
  /**
   * Resolves when no request is active and no accepted connection is still to send its first one,
   * or rejects with the signal's reason.
   */
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

/** How long answers may take to notice that their connection was broken. */
const DISPOSE_MS = 2_000;
/** Between two looks for connections whose header is late. */
const HEADER_LOOK_MS = 2_000;

class ServerState implements HttpServer {
  readonly #options: HttpServerOptions;
  readonly #servers: Server[] = [];
  readonly #ownPaths: string[] = [];
  readonly #connections: Connections;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#connections = new Connections(options.limits.maxConnections);
  }

  get connections(): number {
    return this.#connections.size;
  }

  get activeRequests(): number {
    return this.#connections.active;
  }

  get lastActivityAt(): number {
    return this.#connections.lastActivityAt;
  }

  async listen(listener: Listener): Promise<void> {
    const server = this.#makeServer();
    if (listener.kind === "unix") await prepareSocketPath(listener.path);
    try {
      await listening(server, listener);
      this.#options.keepFromChildren(descriptorOf(server));
    } catch (error) {
      const where = listener.kind === "unix" ? listener.path : `descriptor ${listener.fd}`;
      throw new CicdError("socket_in_use", `Cannot listen on "${where}": ${messageOf(error)}`, {
        cause: error,
      });
    }
    this.#servers.push(server);
    server.on("error", (error) => this.#options.onError("The server socket failed", error));
    if (listener.kind === "unix") this.#ownPaths.push(listener.path);
  }

  stopAccepting(): void {
    for (const server of this.#servers) {
      if (server.listening) server.close();
    }
    this.#connections.close();
    for (const path of this.#ownPaths.splice(0)) removeSocket(path);
  }

  drained(signal: AbortSignal): Promise<void> {
    return this.#connections.drained(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopAccepting();
    using deadline = withDeadline(new AbortController().signal, DISPOSE_MS, "open answers");
    await raceAbort(this.#connections.destroy(), deadline).catch(
      ignore("a handler that hears no abort does not keep the program"),
    );
  }

  #makeServer(): Server {
    const { limits } = this.#options;
    const server = createServer({
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headerTimeoutMs,
      connectionsCheckingInterval: Math.min(HEADER_LOOK_MS, limits.headerTimeoutMs),
      // The body has a deadline of its own, and an answer may take for ever.
      requestTimeout: 0,
    });
    const listener = this.#makeListener();
    server.on("connection", (socket) => this.#admit(socket));
    server.on("request", (incoming, outgoing) => {
      // A refused connection has its answer: what it asked for must not happen besides.
      if (!this.#connections.has(incoming.socket)) return;
      this.#connections.begin(incoming, outgoing, listener(incoming, outgoing));
    });
    server.on("clientError", (error, socket) => {
      if (socket instanceof Socket) refuseBroken(error, socket, limits.maxHeaderBytes);
      else socket.destroy();
    });
    return server;
  }

  #makeListener(): (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void> {
    const { onError } = this.#options;
    const failed = (error: unknown) => {
      const isBadRequest = error instanceof RequestError;
      if (!isBadRequest) onError("A request could not be answered", error);
      const response = problemResponse(
        isBadRequest
          ? new CicdError("invalid_http", `Cannot read the request: ${error.message}`)
          : new CicdError("internal", messageOf(error)),
      );
      response.headers.set("connection", "close");
      return response;
    };
    const listener = getRequestListener(
      async (request, { incoming, outgoing }) => {
        let response: Response;
        try {
          response = await this.#options.handle(request);
        } catch (error) {
          // The client went away while its answer was made: there is nobody to tell.
          if (request.signal.aborted) return RESPONSE_ALREADY_SENT;
          response = failed(error);
        }
        // Nobody reads the rest of the body, so no request can follow on this connection.
        if (!incoming.complete) response.headers.set("connection", "close");
        if (!isHttp1(outgoing)) return response;
        await sendResponse(response, outgoing, {
          headOnly: request.method === "HEAD",
          onError: (error) => onError("An answer broke off", error),
        });
        return RESPONSE_ALREADY_SENT;
      },
      { overrideGlobalObjects: false, errorHandler: failed },
    );
    return async (incoming, outgoing) => {
      try {
        await listener(incoming, outgoing);
      } catch (error) {
        onError("A request could not be answered", error);
        outgoing.destroy();
      }
    };
  }

  #admit(socket: Socket): void {
    if (this.#connections.admit(socket)) return;
    const { maxConnections } = this.#options.limits;
    refuse(socket, {
      code: "too_many_connections",
      detail: `More than ${maxConnections} connections are open (http.max_connections)`,
      headers: ["Retry-After: 1"],
    });
  }
}

function isHttp1(outgoing: object): outgoing is ServerResponse {
  return "shouldKeepAlive" in outgoing;
}

/** Listens; a socket of our own is made with mode 0600. */
function listening(server: Server, where: Listener): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const onListening = () => {
      server.removeListener("error", reject);
      resolve();
    };
    if (where.kind === "fd") {
      server.listen({ fd: where.fd, backlog: BACKLOG }, onListening);
      return;
    }
    // The socket is made before `listen` returns: nothing else runs under this mask.
    const umask = Deno.umask(0o177);
    try {
      server.listen({ path: where.path, backlog: BACKLOG }, onListening);
    } finally {
      Deno.umask(umask);
    }
  });
}

const BACKLOG = 511;

/** The descriptor under a listening server; only its handle knows it. */
function descriptorOf(server: object): number {
  const handle = "_handle" in server ? server._handle : undefined;
  const fd = typeof handle === "object" && handle !== null && "fd" in handle ? handle.fd : -1;
  if (typeof fd !== "number" || fd < 0) throw new TypeError("A server that listens has no handle");
  return fd;
}

function removeSocket(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
