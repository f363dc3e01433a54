/**
 * Requests that ask for another protocol: WebSocket, or a refusal.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { CicdError, toCicdError } from "@lib/core/errors.ts";
import type { Connections } from "@lib/foundations/http/connections.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { refuse } from "@lib/foundations/http/refusal.ts";
import { webSockets, type WebSocketSession } from "@lib/foundations/http/web_socket.ts";

/**
 * Decides about a request for a WebSocket.
 *
 * @returns What is done over the connection.
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
    // A refused connection has its answer: what it asked for must not happen besides.
    if (socket === undefined || !connections.has(socket)) return void duplex.destroy();
    const leave = new AbortController();
    const gone = new AbortController();
    socket.once("close", () => gone.abort(new DOMException("The client went away", "AbortError")));
    const session = async () => {
      let wanted: WebSocketSession;
      try {
        const request = toRequest(incoming, AbortSignal.any([leave.signal, gone.signal]));
        wanted = await upgrade(request, origin);
      } catch (thrown) {
        return refuseWith(socket, thrown, (error) => {
          if (!gone.signal.aborted) onError("A request could not be answered", error);
        });
      }
      try {
        await serve(wanted, {
          incoming,
          socket,
          head,
          leave: leave.signal,
          pingIntervalMs,
          onError: (error) => onError("A WebSocket broke off", error),
        });
      } catch (error) {
        onError("A WebSocket broke off", error);
      }
    };
    connections.beginTakeover(
      socket,
      session(),
      () => leave.abort(new DOMException("The server stops", "AbortError")),
    );
  };
}

/** Resolves when the client has its answer, or is gone. */
function refuseWith(
  socket: Socket,
  thrown: unknown,
  onDefect: (error: unknown) => void,
): Promise<void> {
  const error = toCicdError(thrown);
  if (error.code === "internal") onDefect(thrown);
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
    if (socket.destroyed) return resolve();
    refuse(socket, {
      code: error.code,
      detail: error.code === "internal" ? "The request met a defect" : error.message,
      headers: [
        ...(error.retryAfterMs === undefined
          ? []
          : [`Retry-After: ${Math.max(1, Math.ceil(error.retryAfterMs / 1_000))}`]),
        ...(error.code === "unauthorized" ? ["WWW-Authenticate: Bearer"] : []),
      ],
    });
  });
}

function toRequest({ method, url, headersDistinct }: IncomingMessage, signal: AbortSignal) {
  const unreadable = (cause?: unknown) =>
    new CicdError("invalid_http", "Cannot read the request: it asks for no WebSocket", { cause });
  if (method !== "GET" || url?.startsWith("/") !== true) throw unreadable();
  if (headersDistinct["upgrade"]?.join().toLowerCase() !== "websocket") {
    throw new CicdError(
      "invalid_http",
      "Cannot change the protocol: only WebSocket is offered; leave the Upgrade field out",
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
