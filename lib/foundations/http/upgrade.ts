/**
 * Requests for another protocol: WebSocket, or a refusal.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import type { Connections } from "@lib/foundations/http/connections.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { refuse, requestProblem } from "@lib/foundations/http/refusal.ts";
import { webSockets, type WebSocketSession } from "@lib/foundations/http/web_socket.ts";

/**
 * Accepts a request for a WebSocket by returning its session.
 *
 * @throws {CicdError} To refuse; the client gets it as a problem document.
 */
export type UpgradeHandler = (request: Request, origin: Origin) => Promise<WebSocketSession>;

/** Options for {@linkcode makeUpgrader}. */
export interface UpgraderOptions {
  readonly upgrade: UpgradeHandler;
  readonly connections: Connections;
  readonly pingIntervalMs: number;
  readonly onError: (what: string, error: unknown) => void;
}

/** Makes the listener of a server's `upgrade` event. */
export function makeUpgrader(options: UpgraderOptions) {
  const { upgrade, connections, pingIntervalMs, onError } = options;
  const serve = webSockets();
  return (incoming: IncomingMessage, duplex: Duplex, head: Uint8Array, origin: Origin): void => {
    const socket = duplex instanceof Socket ? duplex : undefined;
    // A refused connection has its answer: its request must not be executed.
    if (socket === undefined || !connections.has(socket)) return void duplex.destroy();
    const leave = new AbortController();
    const gone = new AbortController();
    socket.once(
      "close",
      () => gone.abort(new DOMException("The client disconnected", "AbortError")),
    );
    const run = async () => {
      let session: WebSocketSession;
      try {
        const request = toRequest(incoming, AbortSignal.any([leave.signal, gone.signal]));
        session = await upgrade(request, origin);
      } catch (thrown) {
        const error = toCicdError(thrown);
        if (error.code === "internal" && !gone.signal.aborted) {
          onError("A request could not be answered", thrown);
        }
        return await refusedBy(socket, error);
      }
      const broken = (error: unknown) => onError("A WebSocket broke off", error);
      try {
        await serve(session, {
          incoming,
          socket,
          head,
          leave: leave.signal,
          pingIntervalMs,
          onError: broken,
        });
      } catch (error) {
        broken(error);
      }
    };
    connections.beginTakeover(
      socket,
      run(),
      () => leave.abort(new DOMException("The server stops", "AbortError")),
    );
  };
}

/** Refuses; resolves when the client has its answer or has disconnected. */
function refusedBy(socket: Socket, error: CicdError): Promise<void> {
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    if (socket.destroyed) return resolve();
    refuse(socket, error);
  });
}

function toRequest(incoming: IncomingMessage, signal: AbortSignal) {
  const { method, url, headersDistinct } = incoming;
  const problem = requestProblem(incoming);
  if (problem !== undefined) throw problem;
  const unreadable = (cause?: unknown) =>
    new CicdError("invalid_http", "Cannot read the request: it is not for a WebSocket", { cause });
  if (method !== "GET" || url?.startsWith("/") !== true) throw unreadable();
  if (headersDistinct["upgrade"]?.join().toLowerCase() !== "websocket") {
    throw new CicdError(
      "invalid_http",
      "Cannot change the protocol: only WebSocket is offered; omit the Upgrade field",
    );
  }
  try {
    const headers = Object.entries(headersDistinct).flatMap(([name, values = []]) =>
      values.map((value): [string, string] => [name, value])
    );
    return new Request(`http://localhost${url}`, { headers, signal });
  } catch (error) {
    throw unreadable(error);
  }
}
