/**
 * The HTTP server of both programs: `node:http` on inherited or own sockets, with a
 * Fetch-style handler. `Deno.serve` cannot adopt a listening descriptor.
 *
 * @module
 */
import { createServer, type Server } from "node:http";
import { Socket } from "node:net";
import { CicdError, ignore } from "@lib/core/errors.ts";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { Connections, Handshakes } from "@lib/foundations/http/connections.ts";
import {
  assertTlsFits,
  bind,
  type BoundAddress,
  descriptorOf,
  isLocal,
  type Listener,
  type Origin,
  shownAddress,
  tlsOf,
  type TlsTexts,
} from "@lib/foundations/http/listener.ts";
import {
  refuse,
  refuseBroken,
  refuseRequest,
  requestProblem,
} from "@lib/foundations/http/refusal.ts";
import { makeRequestListener } from "@lib/foundations/http/request_listener.ts";
import { makeUpgrader, type UpgradeHandler } from "@lib/foundations/http/upgrade.ts";

export type { Listener, TlsTexts } from "@lib/foundations/http/listener.ts";

/** Limits on clients. */
export interface HttpLimits {
  /** More connections get a 503; remote clients get at most three quarters. */
  readonly maxConnections: number;
  /** Bytes of request line and header fields; more get a 431. */
  readonly maxHeaderBytes: number;
  /** From the start of a connection, or the end of the last answer, to the end of the header. */
  readonly headerTimeoutMs: number;
  /** From the start of a connection to the end of its TLS handshake. @default {10_000} */
  readonly handshakeTimeoutMs?: number;
  /** Between two pings of a WebSocket. @default {30_000} */
  readonly pingIntervalMs?: number;
}

/** Options for {@linkcode startHttpServer}. */
export interface HttpServerOptions {
  readonly listeners: readonly Listener[];
  readonly limits: HttpLimits;
  /** Must not throw: an exception is answered with a 500. */
  readonly handle: (request: Request, origin: Origin) => Response | Promise<Response>;
  /** Answers requests for a WebSocket; if absent, they are handled as plain requests. */
  readonly upgrade?: UpgradeHandler;
  /** `handle` authenticates remote clients; otherwise only Unix sockets are served. */
  readonly isForRemote?: boolean;
  /**
   * Keeps a listening descriptor from child processes: one that outlives this process would
   * keep a socket open that nobody serves.
   */
  readonly keepFromChildren: (fd: number) => void;
  /** Receives failures that no client can be told about. */
  readonly onError: (what: string, error: unknown) => void;
}

/**
 * Binds and serves.
 *
 * @throws {CicdError} `socket_in_use` if a path is taken; `invalid_config`, before any socket is
 * touched, if a certificate and its key do not match.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  for (const listener of options.listeners) {
    const tls = tlsOf(listener);
    if (tls !== undefined) assertTlsFits(tls, Date.now());
  }
  const server = new HttpServer(options);
  try {
    for (const listener of options.listeners) await server.listen(listener);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Time for handlers to end after their connection is broken. */
const DISPOSE_MS = 2_000;
const HANDSHAKE_MS = 10_000;
const PING_MS = 30_000;
/** Silence after which the system asks if a remote client is still there. */
const KEEP_ALIVE_MS = 15_000;
/** Between two checks for late headers. */
const HEADER_LOOK_MS = 2_000;

/** A listening server. Disposing it stops listening, then breaks open connections. */
export class HttpServer implements AsyncDisposable {
  readonly #options: HttpServerOptions;
  readonly #servers: Server[] = [];
  readonly #encrypted = new Set<SecureServer>();
  readonly #ownPaths: string[] = [];
  readonly #connections: Connections;
  readonly #handshakes: Handshakes;
  readonly #upgrade: ReturnType<typeof makeUpgrader> | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { limits, upgrade, onError } = options;
    const { handshakeTimeoutMs = HANDSHAKE_MS, pingIntervalMs = PING_MS } = limits;
    this.#connections = new Connections(limits.maxConnections);
    this.#handshakes = new Handshakes(handshakeTimeoutMs);
    this.#upgrade = upgrade === undefined
      ? undefined
      : makeUpgrader({ upgrade, connections: this.#connections, pingIntervalMs, onError });
  }

  /** Open connections, idle ones included. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Requests in progress. */
  get activeRequests(): number {
    return this.#connections.active;
  }

  /** End of the last request, in milliseconds since the epoch. */
  get lastActivityAt(): number {
    return this.#connections.lastActivityAt;
  }

  /** The TCP addresses of the server. */
  get addresses(): readonly BoundAddress[] {
    return this.#servers.flatMap((server) => {
      const address = server.address();
      if (typeof address !== "object" || address === null) return [];
      const isEncrypted = [...this.#encrypted].some((one) => one === server);
      return [{ host: address.address, port: address.port, isEncrypted }];
    });
  }

  /**
   * Uses another certificate for new connections.
   *
   * @throws {CicdError} `invalid_config` if certificate and key do not match; the old one stays.
   */
  renewCertificate(tls: TlsTexts): void {
    assertTlsFits(tls, Date.now());
    const { certificate, key } = tls;
    for (const server of this.#encrypted) server.setSecureContext({ cert: certificate, key });
  }

  /** Binds one more socket. */
  async listen(listener: Listener): Promise<void> {
    if (!isLocal(listener) && this.#options.isForRemote !== true) {
      throw new CicdError(
        "invalid_config",
        "Cannot serve a network: this program trusts every client of its socket; give it a Unix " +
          "socket (ListenStream= with a path)",
      );
    }
    const server = await this.#makeServer(listener);
    await bind(server, listener);
    this.#servers.push(server);
    server.on("error", (error) => this.#options.onError("The server socket failed", error));
    if (listener.kind === "unix") this.#ownPaths.push(listener.path);
    const fd = descriptorOf(server);
    // The runtime keeps TCP sockets, and their descriptors, from children by itself.
    if (fd !== undefined) this.#options.keepFromChildren(fd);
    else if (isLocal(listener)) throw new TypeError("A listening server has no handle");
    const accepted = listener.kind === "fd" ? listener.takeAccepted?.() : undefined;
    if (accepted === undefined) return;
    // A client may close its side after the request, as at any connection of the server.
    server.emit("connection", new Socket({ fd: accepted, allowHalfOpen: true }));
  }

  /** Stops accepting; open connections may finish. */
  stopAccepting(): void {
    for (const server of this.#servers) {
      if (server.listening) server.close();
    }
    this.#connections.close();
    this.#handshakes.clear();
    for (const path of this.#ownPaths.splice(0)) removeSocket(path);
  }

  /** Resolves when no request is active or imminent, or rejects with the signal's reason. */
  drained(signal: AbortSignal): Promise<void> {
    return this.#connections.drained(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopAccepting();
    using deadline = withDeadline(new AbortController().signal, DISPOSE_MS, "open answers");
    await raceAbort(this.#connections.destroy(), deadline).catch(
      ignore("a handler that ignores its abort must not keep the program"),
    );
  }

  async #makeServer(listener: Listener): Promise<Server> {
    const { limits } = this.#options;
    const tls = tlsOf(listener);
    const settings = {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headerTimeoutMs,
      connectionsCheckingInterval: Math.min(HEADER_LOOK_MS, limits.headerTimeoutMs),
      // The body has its own deadline, and an answer may take any time.
      requestTimeout: 0,
      // Checked with the rest of the request, and refused with a problem document.
      requireHostHeader: false,
    };
    const server = tls === undefined
      ? createServer(settings)
      : await this.#makeSecureServer(tls, settings);
    const isRemote = !isLocal(listener);
    const originOf = ({ remoteAddress }: Socket): Origin =>
      isRemote ? { kind: "remote", address: shownAddress(remoteAddress) } : { kind: "local" };
    const { handle, onError } = this.#options;
    const answer = makeRequestListener({ handle, originOf, onError });
    // A followed log may be silent for hours: only this notices a client that has lost its network.
    if (isRemote) server.on("connection", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
    if (tls === undefined) server.on("connection", (socket) => this.#admit(socket, isRemote));
    server.on("request", (incoming, outgoing) => {
      // A refused connection has its answer: its request must not be executed.
      if (!this.#connections.has(incoming.socket)) return;
      const problem = requestProblem(incoming);
      if (problem === undefined) {
        this.#connections.begin(incoming, outgoing, answer(incoming, outgoing));
      } else {
        this.#connections.begin(incoming, outgoing, Promise.resolve());
        refuseRequest(outgoing, problem);
      }
    });
    server.on("checkExpectation", (incoming, outgoing) => {
      if (!this.#connections.has(incoming.socket)) return;
      this.#connections.begin(incoming, outgoing, Promise.resolve());
      const message = "Cannot read the request: only 100-continue may be expected";
      refuseRequest(outgoing, new CicdError("invalid_http", message));
    });
    server.on("connect", (incoming) => {
      if (!this.#connections.has(incoming.socket)) return;
      const message = "Cannot CONNECT: this server is no proxy";
      refuse(incoming.socket, new CicdError("invalid_http", message));
    });
    const upgrade = this.#upgrade;
    if (upgrade !== undefined) {
      server.on("upgrade", (incoming, socket, head) => {
        upgrade(incoming, socket, head, originOf(incoming.socket));
      });
    }
    const broken = new WeakSet<object>();
    server.on("clientError", (error, socket) => {
      if (broken.has(socket)) return;
      // Before its handshake ends, a client could not read a refusal.
      const isReadable = socket instanceof Socket &&
        (tls === undefined || this.#connections.has(socket));
      if (!isReadable) return void socket.destroy();
      broken.add(socket);
      const { maxHeaderBytes } = limits;
      const answered = () => this.#connections.answered(socket);
      void refuseBroken(error, socket, { maxHeaderBytes, answered });
    });
    return server;
  }

  async #makeSecureServer(tls: TlsTexts, settings: object): Promise<Server> {
    const { createServer: createSecure } = await import("node:https");
    const { handshakeTimeoutMs = HANDSHAKE_MS } = this.#options.limits;
    const server: SecureServer = createSecure({
      ...settings,
      cert: tls.certificate,
      key: tls.key,
      minVersion: "TLSv1.2",
      handshakeTimeout: handshakeTimeoutMs,
    });
    server.on("connection", (socket: Socket) => {
      const begun = this.#handshakes.size;
      if (this.#connections.isFull(true, begun)) socket.destroy();
      else this.#handshakes.begin(socket);
    });
    server.on("secureConnection", (socket) => {
      this.#handshakes.end(socket);
      this.#admit(socket, true);
    });
    this.#encrypted.add(server);
    return server;
  }

  #admit(socket: Socket, isRemote: boolean): void {
    if (this.#connections.admit(socket, isRemote)) return;
    const { maxConnections } = this.#options.limits;
    const message = `More than ${maxConnections} connections are open (http.max_connections)`;
    refuse(socket, new CicdError("too_many_connections", message, { retryAfterMs: 1_000 }));
  }
}

/** A server whose certificate can be replaced while it runs. */
interface SecureServer extends Server {
  setSecureContext(texts: { readonly cert: string; readonly key: string }): void;
}

function removeSocket(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
