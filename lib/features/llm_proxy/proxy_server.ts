/**
 * The proxy's server: on loopback, for programs of this machine.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { isLoopback, type ListenAddress } from "@lib/foundations/http/listen_address.ts";
import { CicdError, ignore, messageOf } from "@lib/core/errors.ts";
import { UpstreamAgents } from "@lib/features/llm_proxy/upstream_agents.ts";
import {
  endAnswer,
  exchange,
  type Exchanged,
  type ExchangeLimits,
} from "@lib/features/llm_proxy/exchange.ts";
import {
  type Bases,
  type NoTarget,
  type Target,
  targetOf,
} from "@lib/features/llm_proxy/targets.ts";

/** Options for {@linkcode ProxyServer}. */
export interface ProxyServerOptions {
  /** As of the moment of a request. */
  readonly limits: () => ExchangeLimits & { readonly maxRequests: number };
  readonly bases: () => Bases;
  /** Called at the end of each exchange. */
  readonly onExchange: (target: Target, outcome: Exchanged) => void;
  /** Called for each request that goes to no provider. */
  readonly onRefused: (kind: string) => void;
  readonly onError: (what: string, error: unknown) => void;
}

/** Bytes of a request's header. */
const MAX_HEADER_BYTES = 64 * 1024;
const HEADER_MS = 30_000;
/** Connections beyond those with a request. */
const SPARE_CONNECTIONS = 64;

/** A request, and its answer. */
interface Client {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly lingerMs: number;
}

/** A refusal: its status, its type, and its message. */
type Refusal = readonly [status: number, type: string, message: string];

/** The server. Disposing it breaks what is open. */
export class ProxyServer implements Disposable {
  readonly #options: ProxyServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #end = new AbortController();
  readonly #agents = new UpstreamAgents();
  readonly #waiters = new Set<() => void>();
  #active = 0;

  private constructor(options: ProxyServerOptions) {
    this.#options = options;
    this.#server = createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADER_MS,
      connectionsCheckingInterval: 2_000,
      // The exchange has its own deadlines.
      requestTimeout: 0,
    });
    this.#server.on("connection", (socket) => this.#admit(socket));
    this.#server.on("request", (incoming, outgoing) => {
      void this.#answer(incoming, outgoing).catch((error) => {
        options.onError("A request to a language model could not be passed on", error);
        outgoing.destroy();
      });
    });
  }

  /**
   * Listens.
   *
   * @throws {CicdError} `invalid_config` if others could reach the address, `socket_in_use`, `io_failed`.
   */
  static async listen(address: ListenAddress, options: ProxyServerOptions): Promise<ProxyServer> {
    const { host, port } = address;
    if (!isLoopback(host)) {
      throw new CicdError(
        "invalid_config",
        `Cannot use llm_proxy.listen "${host}:${port}": only loopback addresses are allowed, as ` +
          "the proxy asks for no key of its own",
      );
    }
    const made = new ProxyServer(options);
    const listening = Promise.withResolvers<void>();
    made.#server.once("error", listening.reject);
    made.#server.listen({ host, port }, listening.resolve);
    try {
      await listening.promise;
    } catch (error) {
      const isTaken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
      throw new CicdError(
        isTaken ? "socket_in_use" : "io_failed",
        `Cannot listen on "${host}:${port}" for requests to language models: ` +
          (isTaken ? "another program listens there" : messageOf(error)),
        { cause: error },
      );
    }
    made.#server.off("error", listening.reject);
    made.#server.on("error", (error) => options.onError("The proxy's socket failed", error));
    return made;
  }

  /** Exchanges under way. */
  get active(): number {
    return this.#active;
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Stops accepting; exchanges under way go on. */
  stopAccepting(): void {
    if (this.#server.listening) this.#server.close();
    this.#server.closeIdleConnections();
  }

  /** Resolves when no exchange is under way, or rejects with the signal's reason. */
  async drained(signal: AbortSignal): Promise<void> {
    while (this.#active > 0) {
      signal.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onAbort = () => reject(signal.reason);
      this.#waiters.add(resolve);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        await promise;
      } finally {
        this.#waiters.delete(resolve);
        signal.removeEventListener("abort", onAbort);
      }
    }
  }

  [Symbol.dispose](): void {
    this.stopAccepting();
    this.#end.abort();
    for (const socket of this.#sockets) socket.destroy();
    this.#agents[Symbol.dispose]();
  }

  #admit(socket: Socket): void {
    if (this.#sockets.size >= this.#options.limits().maxRequests + SPARE_CONNECTIONS) {
      this.#options.onRefused("connections");
      return void socket.destroy();
    }
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    // Whenever it comes, also after the exchange: an error that nobody takes would end the program.
    for (const side of [incoming, outgoing]) side.on("error", ignore("the client is gone"));
    const limits = this.#options.limits();
    const client = { incoming, outgoing, lingerMs: limits.lingerMs };
    const refused = refusalOf(incoming) ??
      (this.#active >= limits.maxRequests
        ? [
          503,
          "overloaded",
          `more than ${limits.maxRequests} requests are under way (llm_proxy.max_requests)`,
        ] as const
        : undefined);
    if (refused !== undefined) return await this.#refuse(client, refused);
    const target = targetOf(incoming.url ?? "", this.#options.bases());
    if (isProblem(target)) {
      return await this.#refuse(client, [
        400,
        "invalid_request_error",
        target.problem,
      ]);
    }
    this.#active++;
    try {
      const signal = this.#end.signal;
      const upstream = { target, agents: this.#agents };
      const outcome = await exchange({ ...client, ...upstream }, { ...limits, signal });
      if (outcome.kind === "failed") await answerFailure(client, target, outcome);
      this.#options.onExchange(target, outcome);
    } finally {
      this.#active--;
      for (const look of [...this.#waiters]) look();
    }
  }

  async #refuse(client: Client, refusal: Refusal): Promise<void> {
    this.#options.onRefused(refusal[1]);
    await sendError(client, refusal);
  }
}

function isProblem(target: Target | NoTarget): target is NoTarget {
  return "problem" in target;
}

/** A page in a browser could reach loopback too, under any name that resolves to it. */
function refusalOf({ headers, headersDistinct, url = "" }: IncomingMessage): Refusal | undefined {
  if (headers.origin !== undefined || (headers["sec-fetch-site"] ?? "none") !== "none") {
    return [403, "cross_origin", "requests of web pages are refused"];
  }
  const hosts = headersDistinct["host"] ?? [];
  const name = (hosts[0] ?? "").replace(/:\d{0,5}$/, "").replace(/^\[(.*)\]$/, "$1");
  if (hosts.length !== 1 || !isLoopback(name)) {
    return [403, "wrong_host", "the Host field must be a loopback address or localhost"];
  }
  return url.startsWith("/")
    ? undefined
    : [400, "invalid_request_error", "invalid path — expected /v1/{provider}/..."];
}

async function answerFailure(
  client: Client,
  { provider }: Target,
  { reason }: Exchanged & { readonly kind: "failed" },
): Promise<void> {
  switch (reason) {
    case "left":
      return void client.outgoing.destroy();
    case "stopping":
      return await sendError(client, [503, "runner_stopping", "the runner stops"]);
    case "connect_timeout":
      return await sendError(client, [504, reason, `cannot connect to ${provider} in time`]);
    case "idle_timeout":
      return await sendError(client, [
        504,
        reason,
        `${provider} has not answered in time (llm_proxy.idle_timeout)`,
      ]);
    case "unreachable":
      return await sendError(client, [
        502,
        "upstream_failed",
        `upstream request failed: ${provider}`,
      ]);
  }
}

/** Sends an error in the form that the clients of most providers can read. */
async function sendError(
  { incoming, outgoing, lingerMs }: Client,
  [status, type, message]: Refusal,
): Promise<void> {
  if (outgoing.headersSent || outgoing.destroyed) return void outgoing.destroy();
  const body = `${JSON.stringify({ type: "error", error: { type, code: type, message } })}\n`;
  outgoing.writeHead(status, {
    "content-type": "application/json",
    "content-length": new TextEncoder().encode(body).length,
    ...(status === 503 ? { "retry-after": "1" } : {}),
    // The body is not read: no other request can follow on this connection.
    ...(incoming.complete ? {} : { "connection": "close" }),
  });
  outgoing.write(body);
  await endAnswer(incoming, outgoing, lingerMs);
}
