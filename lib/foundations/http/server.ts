/**
 * The one HTTP server of both programs: `node:http` on inherited or own
 * sockets, with a Fetch-style handler.
 *
 * `Deno.serve` cannot take over a listening descriptor, `node:http` can.
 *
 * @module
 */
import { createServer, type Server } from "node:http";
import { Socket } from "node:net";
import { CicdError, ignore } from "@lib/core/errors.ts";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { Connections } from "@lib/foundations/http/connections.ts";
import { Handshakes } from "@lib/foundations/http/handshakes.ts";
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
import { refuse, refuseBroken } from "@lib/foundations/http/refusal.ts";
import { makeRequestListener } from "@lib/foundations/http/request_listener.ts";
import { makeUpgrader, type UpgradeHandler } from "@lib/foundations/http/upgrade.ts";

export type { Listener, TlsTexts } from "@lib/foundations/http/listener.ts";

/** Bounds on what clients may do. */
export interface HttpLimits {
  /** Connections beyond this get a 503 and are closed; networks get three quarters at most. */
  readonly maxConnections: number;
  /** Bytes of request line and header fields together; more gets a 431. */
  readonly maxHeaderBytes: number;
  /** From the connection's (or the last answer's) end to the end of the header. */
  readonly headerTimeoutMs: number;
  /** From a connection's begin to the end of its TLS handshake. @default {10_000} */
  readonly handshakeTimeoutMs?: number;
  /** Between two signs of life of a WebSocket. @default {30_000} */
  readonly pingIntervalMs?: number;
}

/** Options for {@linkcode startHttpServer}. */
export interface HttpServerOptions {
  readonly listeners: readonly Listener[];
  readonly limits: HttpLimits;
  /** Must not throw: what does is answered with a 500. */
  readonly handle: (request: Request, origin: Origin) => Response | Promise<Response>;
  /** Answers requests for a WebSocket; absent: they are answered as plain requests. */
  readonly upgrade?: UpgradeHandler;
  /** Whether `handle` asks who is behind a network; else only Unix sockets are served. */
  readonly isForRemote?: boolean;
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
  /** The TCP addresses that are listened on. */
  readonly addresses: readonly BoundAddress[];
  /**
   * Uses another certificate for connections from now on.
   *
   * @throws {CicdError} `invalid_config` if certificate and key do not fit; the one before stays.
   */
  renewCertificate(tls: TlsTexts): void;
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
 * @throws {CicdError} `socket_in_use` if a path is taken, `invalid_config` if a certificate and its
 * key do not fit; no socket was touched then.
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  for (const listener of options.listeners) {
    const tls = tlsOf(listener);
    if (tls !== undefined) assertTlsFits(tls, Date.now());
  }
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
const HANDSHAKE_MS = 10_000;
const PING_MS = 30_000;
/** Between two looks for connections whose header is late. */
const HEADER_LOOK_MS = 2_000;

class ServerState implements HttpServer {
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

  get connections(): number {
    return this.#connections.size;
  }

  get activeRequests(): number {
    return this.#connections.active;
  }

  get lastActivityAt(): number {
    return this.#connections.lastActivityAt;
  }

  get addresses(): readonly BoundAddress[] {
    return this.#servers.flatMap((server) => {
      const address = server.address();
      if (typeof address !== "object" || address === null) return [];
      const isEncrypted = [...this.#encrypted].some((one) => one === server);
      return [{ host: address.address, port: address.port, isEncrypted }];
    });
  }

  renewCertificate(tls: TlsTexts): void {
    assertTlsFits(tls, Date.now());
    const { certificate, key } = tls;
    for (const server of this.#encrypted) server.setSecureContext({ cert: certificate, key });
  }

  async listen(listener: Listener): Promise<void> {
    if (!isLocal(listener) && this.#options.isForRemote !== true) {
      throw new CicdError(
        "invalid_config",
        "Cannot serve a network: this program trusts whoever reaches its socket; give it a Unix " +
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
    else if (isLocal(listener)) throw new TypeError("A server that listens has no handle");
  }

  stopAccepting(): void {
    for (const server of this.#servers) {
      if (server.listening) server.close();
    }
    this.#connections.close();
    this.#handshakes.clear();
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

  async #makeServer(listener: Listener): Promise<Server> {
    const { limits } = this.#options;
    const tls = tlsOf(listener);
    const settings = {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headerTimeoutMs,
      connectionsCheckingInterval: Math.min(HEADER_LOOK_MS, limits.headerTimeoutMs),
      // The body has a deadline of its own, and an answer may take for ever.
      requestTimeout: 0,
    };
    const server = tls === undefined
      ? createServer(settings)
      : await this.#makeSecureServer(tls, settings);
    const originOf = isLocal(listener) ? (): Origin => LOCAL : (socket: Socket): Origin => ({
      kind: "remote",
      address: shownAddress(socket.remoteAddress),
    });
    const { handle, onError } = this.#options;
    const answer = makeRequestListener({ handle, originOf, onError });
    const isRemote = !isLocal(listener);
    if (tls === undefined) server.on("connection", (socket) => this.#admit(socket, isRemote));
    server.on("request", (incoming, outgoing) => {
      // A refused connection has its answer: what it asked for must not happen besides.
      if (!this.#connections.has(incoming.socket)) return;
      this.#connections.begin(incoming, outgoing, answer(incoming, outgoing));
    });
    const upgrade = this.#upgrade;
    if (upgrade !== undefined) {
      server.on("upgrade", (incoming, socket, head) => {
        upgrade(incoming, socket, head, originOf(incoming.socket));
      });
    }
    server.on("clientError", (error, socket) => {
      // Before its handshake is over, a client could not read a refusal.
      const isReadable = socket instanceof Socket &&
        (tls === undefined || this.#connections.has(socket));
      if (isReadable) refuseBroken(error, socket, limits.maxHeaderBytes);
      else socket.destroy();
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
      if (this.#connections.isFull({ isRemote: true, begun })) socket.destroy();
      else this.#handshakes.begin(socket);
    });
    server.on("secureConnection", (socket) => {
      this.#handshakes.endOf(socket);
      this.#admit(socket, true);
    });
    this.#encrypted.add(server);
    return server;
  }

  #admit(socket: Socket, isRemote: boolean): void {
    if (this.#connections.admit(socket, { isRemote })) return;
    const { maxConnections } = this.#options.limits;
    refuse(socket, {
      code: "too_many_connections",
      detail: `More than ${maxConnections} connections are open (http.max_connections)`,
      headers: ["Retry-After: 1"],
    });
  }
}

const LOCAL: Origin = { kind: "local" };

/** A server that can take another certificate while it runs. */
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
