/**
 * The client's side of a WebSocket: to the runner, or from it to an agent.
 *
 * @module
 */
import { type IncomingMessage } from "node:http";
import { connect } from "node:net";
// @ts-types="./ws.d.ts"
import type { WebSocket } from "ws";
import { CicdError, ignore, messageOf } from "@lib/core/errors.ts";
import { parseProblem } from "@lib/foundations/http/problem.ts";
import {
  deliverer,
  sender,
  type WebSocketPeer,
  type WebSocketSession,
} from "@lib/foundations/http/web_socket.ts";

/** Where a WebSocket is. */
export interface WebSocketTarget {
  /** The path of a Unix socket, or `http://` or `https://` and the address. */
  readonly at: { readonly socketPath: string } | { readonly origin: string };
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** PEM text of an authority to trust, besides the system's. */
  readonly authority?: string;
  /** Longest message that may come, in bytes. */
  readonly maxReceiveBytes: number;
  /** Silence of the server, which pings, after which the connection is lost, in milliseconds. */
  readonly silenceMs?: number;
}

/** An open connection. Disposing it breaks it. */
export interface WebSocketLink extends WebSocketPeer, Disposable {
  /** Resolves when the connection has ended. */
  readonly closed: Promise<{ readonly code: number; readonly text: string }>;
  /** Closes the connection in order. */
  close(): void;
}

/** Time for the server to close. */
const CLOSE_MS = 2_000;
const PROBLEM_MAX_BYTES = 64 * 1024;

/**
 * Connects.
 *
 * @throws {CicdError} The refusal of the server.
 * @throws {Deno.errors.NotFound | Deno.errors.ConnectionRefused} If nobody listens.
 */
export async function dialWebSocket(
  target: WebSocketTarget,
  signal: AbortSignal,
): Promise<WebSocketLink> {
  const { at, path, headers = {}, authority, maxReceiveBytes } = target;
  // @ts-types="./ws.d.ts"
  const { WebSocket: Client } = await import("ws");
  signal.throwIfAborted();
  const common = {
    headers,
    perMessageDeflate: false,
    maxPayload: maxReceiveBytes,
    ...(authority === undefined ? {} : { ca: authority }),
  };
  const webSocket = "socketPath" in at
    ? new Client(`ws://localhost${path}`, {
      ...common,
      createConnection: () => connect(at.socketPath),
    })
    : new Client(`${at.origin.replace(/^http(s?):/, "ws$1:")}${path}`, common);
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<{ readonly code: number; readonly text: string }>();
  const gone = new AbortController();
  const lost = () => gone.abort(new DOMException("The server disconnected", "AbortError"));
  // What comes with the answer to the handshake is not lost.
  const listen = deliverer(webSocket);
  webSocket.on("open", () => opened.resolve());
  webSocket.on("error", (error) => opened.reject(connectionError(error, at)));
  webSocket.on("unexpected-response", (_request, response) => {
    void refusal(response).then(opened.reject, opened.reject);
  });
  webSocket.once("close", (code, reason) => {
    opened.reject(new CicdError("io_failed", "The connection broke"));
    lost();
    closed.resolve({ code, text: reason.toString("utf8") });
  });
  const onAbort = () => {
    opened.reject(signal.reason);
    webSocket.terminate();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await opened.promise;
  } catch (error) {
    webSocket.terminate();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  watchSilence(webSocket, target.silenceMs);
  return {
    signal: gone.signal,
    send: sender(webSocket, gone.signal, () => {}, lost),
    listen,
    closed: closed.promise,
    close() {
      const timer = setTimeout(() => webSocket.terminate(), CLOSE_MS);
      webSocket.once("close", () => clearTimeout(timer));
      webSocket.close(1000, "");
    },
    [Symbol.dispose]: () => webSocket.terminate(),
  };
}

/** Makes the session that passes every message on, both ways, until either side ends. */
export function relay(link: WebSocketLink, maxReceiveBytes: number): WebSocketSession {
  const session: WebSocketSession = async (peer) => {
    using _link = link;
    const left = Promise.withResolvers<never>();
    void left.promise.catch(ignore("it is raced"));
    const leave = () => left.reject(peer.signal.reason);
    peer.signal.addEventListener("abort", leave, { once: true });
    if (peer.signal.aborted) leave();
    peer.listen((message) => link.send(message));
    const delivered = { last: Promise.resolve() };
    link.listen((message) => delivered.last = peer.send(message));
    const { code, text } = await Promise.race([link.closed, left.promise]);
    await delivered.last;
    if (code !== 1000) {
      throw new CicdError("agent_unavailable", text || "The agent broke the connection");
    }
  };
  return Object.assign(session, { maxReceiveBytes });
}

function watchSilence(webSocket: WebSocket, silenceMs: number | undefined): void {
  if (silenceMs === undefined) return;
  let heard = true;
  const hear = () => {
    heard = true;
  };
  webSocket.on("ping", hear);
  webSocket.on("message", hear);
  const timer = setInterval(() => {
    if (!heard && !webSocket.isPaused) webSocket.terminate();
    heard = false;
  }, silenceMs);
  webSocket.once("close", () => clearInterval(timer));
}

async function refusal(response: IncomingMessage): Promise<CicdError> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) {
    text += chunk;
    if (text.length > PROBLEM_MAX_BYTES) break;
  }
  const status = `status ${response.statusCode ?? 0}`;
  try {
    return parseProblem(JSON.parse(text)) ??
      new CicdError("io_failed", `Cannot open a WebSocket: the answer has ${status}`);
  } catch (cause) {
    return new CicdError("io_failed", `Cannot open a WebSocket: the answer has ${status}`, {
      cause,
    });
  }
}

function connectionError(error: Error, at: WebSocketTarget["at"]): Error {
  const place = "socketPath" in at ? at.socketPath : at.origin;
  const code = "code" in error ? error.code : undefined;
  if (code === "ENOENT") return new Deno.errors.NotFound(`No socket "${place}"`);
  if (code === "ECONNREFUSED") {
    return new Deno.errors.ConnectionRefused(`Nobody listens at "${place}"`);
  }
  const message = `Cannot talk to "${place}": ${messageOf(error)}`;
  return new CicdError("io_failed", message, { cause: error });
}
