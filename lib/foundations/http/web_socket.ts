/**
 * WebSocket connections (RFC 6455), with back-pressure and a limit on silence.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
// @ts-types="./ws.d.ts"
import type { RawData, WebSocket, WebSocketServer } from "ws";
import { CicdError, ignore } from "@lib/core/errors.ts";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { refuse } from "@lib/foundations/http/refusal.ts";

/** The client of a session. */
export interface WebSocketPeer {
  /** Aborts when the client disconnects or the server stops. */
  readonly signal: AbortSignal;
  /**
   * Sends bytes as a binary frame, a text as a text frame; resolves when more may be sent.
   *
   * @throws The reason of {@linkcode WebSocketPeer.signal} once it has aborted.
   */
  send(data: Uint8Array | string): Promise<void>;
  /**
   * Calls back with each message in order: bytes of a binary frame, the text of a text frame. While
   * a promise that it returns is pending, nothing more is read from the client. What came before is
   * delivered too, up to the session's {@linkcode WebSocketSession.maxReceiveBytes}.
   */
  listen(take: MessageHandler): void;
}

/** Takes a message. */
export type MessageHandler = (message: Uint8Array | string) => void | Promise<void>;

/** Talks over a connection, which is closed with 1000 when the session resolves. */
export interface WebSocketSession {
  (peer: WebSocketPeer): Promise<void>;
  /** Longest message that the client may send. @default {4_096} */
  readonly maxReceiveBytes?: number;
}

/** Options for {@linkcode serveWebSocket}. */
export interface WebSocketOptions {
  readonly incoming: IncomingMessage;
  readonly socket: Duplex;
  /** Bytes received after the header. */
  readonly head: Uint8Array;
  /** Aborts when the server stops; the client gets 1001. */
  readonly leave: AbortSignal;
  /** A client that is silent for twice as long is disconnected, in milliseconds. */
  readonly pingIntervalMs: number;
  readonly onError: (error: unknown) => void;
}

/** Unsent bytes beyond which the sender waits. */
export const HIGH_WATER_BYTES = 256 * 1024;
/** Most clients are expected to send only control frames. */
const RECEIVE_MAX_BYTES = 4 * 1024;
/** Time for a client to close. */
const CLOSE_MS = 2_000;

const CODE = { done: 1000, leaving: 1001, refused: 1008, failed: 1011 } as const;

/** Makes the function that takes over sockets; the first of them loads the library. */
export function webSockets(): (
  session: WebSocketSession,
  options: WebSocketOptions,
) => Promise<void> {
  const loading = new Map<number, Promise<WebSocketServer>>();
  return async (session, options) => {
    const { maxReceiveBytes = RECEIVE_MAX_BYTES } = session;
    const loaded = loading.get(maxReceiveBytes) ?? load(maxReceiveBytes);
    loading.set(maxReceiveBytes, loaded);
    const server = await loaded;
    const webSocket = await upgraded(server, options);
    if (webSocket !== undefined) await converse(webSocket, session, options);
  };
}

async function load(maxPayload: number): Promise<WebSocketServer> {
  // @ts-types="./ws.d.ts"
  const { WebSocketServer: Server } = await import("ws");
  const server = new Server({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload,
  });
  server.on("wsClientError", ({ message }, socket) => {
    refuse(socket, new CicdError("invalid_http", `Cannot open a WebSocket: ${message}`));
  });
  return server;
}

/** Answers the handshake; `undefined` if it is invalid and was refused. */
function upgraded(
  server: WebSocketServer,
  { incoming, socket, head }: WebSocketOptions,
): Promise<WebSocket | undefined> {
  return new Promise((resolve) => {
    socket.once("close", () => resolve(undefined));
    server.handleUpgrade(incoming, socket, Buffer.from(head), resolve);
  });
}

async function converse(
  webSocket: WebSocket,
  session: WebSocketSession,
  { leave, pingIntervalMs, onError }: WebSocketOptions,
): Promise<void> {
  const closed = Promise.withResolvers<void>();
  const gone = new AbortController();
  let isAlive = true;
  const alive = () => {
    isAlive = true;
  };
  webSocket.on("error", ignore("its close follows"));
  webSocket.on("pong", alive);
  webSocket.on("message", alive);
  // What other sessions' clients say is ignored.
  const listen = session.maxReceiveBytes === undefined ? () => {} : deliverer(webSocket);
  const lost = () => gone.abort(new DOMException("The client disconnected", "AbortError"));
  webSocket.once("close", () => {
    lost();
    closed.resolve();
  });
  let silent = 0;
  const pings = setInterval(() => {
    // Of a client that is made to wait, no answer can be read.
    silent = isAlive || webSocket.isPaused ? 0 : silent + 1;
    if (silent >= 2) return webSocket.terminate();
    isAlive = false;
    // A ping queued behind other data would say nothing about the client.
    if (webSocket.bufferedAmount === 0) webSocket.ping();
  }, pingIntervalMs);
  const onLeave = () => gone.abort(new DOMException("The server stops", "AbortError"));
  leave.addEventListener("abort", onLeave, { once: true });
  if (leave.aborted) onLeave();
  let code: number = CODE.done;
  let text = "";
  try {
    const { signal } = gone;
    const send = sender(webSocket, signal, alive, lost);
    await session({ signal, send, listen });
  } catch (error) {
    if (leave.aborted) {
      code = CODE.leaving;
      text = "The runner stops; connect again";
    } else if (error instanceof CicdError && error.code === "unauthorized") {
      code = CODE.refused;
      text = error.message;
    } else {
      code = CODE.failed;
      if (!gone.signal.aborted) onError(error);
    }
  } finally {
    leave.removeEventListener("abort", onLeave);
    webSocket.close(code, text);
    using deadline = withDeadline(new AbortController().signal, CLOSE_MS, "the client to close");
    await raceAbort(closed.promise, deadline).catch(ignore("it is terminated below"));
    clearInterval(pings);
    webSocket.terminate();
  }
}

/**
 * Delivers the messages of a connection in order, one after another.
 *
 * @returns The function that sets who takes them; what comes before is kept, and the connection
 * paused at the first message.
 */
export function deliverer(webSocket: WebSocket): (take: MessageHandler) => void {
  const waiting: (Uint8Array | string)[] = [];
  let handler: MessageHandler | undefined;
  let isBusy = false;
  const work = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const taken = handler?.(next);
        if (taken === undefined) continue;
        webSocket.pause();
        await taken;
      }
    } catch {
      // Its taker knows why; nobody takes the rest.
      webSocket.terminate();
      waiting.length = 0;
    } finally {
      isBusy = false;
      webSocket.resume();
    }
  };
  webSocket.on("message", (data, isBinary) => {
    waiting.push(isBinary ? bytesOf(data) : textOf(data));
    if (handler === undefined) webSocket.pause();
    else void work();
  });
  return (take) => {
    handler = take;
    void work();
  };
}

function bytesOf(data: RawData): Uint8Array {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return Array.isArray(data) ? Buffer.concat(data) : data;
}

function textOf(data: RawData): string {
  return new TextDecoder().decode(bytesOf(data));
}

/** @param onFailed Aborts the signal. */
export function sender(
  webSocket: WebSocket,
  signal: AbortSignal,
  onTaken: () => void,
  onFailed: () => void,
) {
  return (data: Uint8Array | string): Promise<void> => {
    if (signal.aborted) return Promise.reject(signal.reason);
    const taken = Promise.withResolvers<void>();
    webSocket.send(data, { binary: typeof data !== "string" }, (error) => {
      // At once, not at the close: a sender that goes on would keep the close from happening.
      if (error === undefined || error === null) onTaken();
      else onFailed();
      taken.resolve();
    });
    if (webSocket.bufferedAmount < HIGH_WATER_BYTES) return Promise.resolve();
    return raceAbort(taken.promise, signal);
  };
}
