/**
 * The client's side of a WebSocket to a server of others.
 *
 * Such a server may break every rule: each way for the connection to end is told apart, and its end
 * is awaited, so that there is never a second one beside it.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
// @ts-types="./ws.d.ts"
import type { RawData, WebSocket } from "ws";
import { messageOf } from "@lib/core/errors.ts";

/** How a connection ended. */
export type SocketEnd =
  /** It never opened. */
  | { readonly kind: "unreachable"; readonly reason: string }
  /** The handshake was answered with a status. */
  | { readonly kind: "refused"; readonly status: number; readonly retryAfter: string | undefined }
  /** A close frame came, or was answered. */
  | { readonly kind: "closed"; readonly code: number; readonly reason: string }
  /** The other side sent more than it may. */
  | { readonly kind: "too_large" }
  /** The other side broke the protocol, such as by a text that is not UTF-8. */
  | { readonly kind: "invalid"; readonly reason: string }
  /** It ended without a close frame, or was broken here. */
  | { readonly kind: "broken" };

/** Options for {@linkcode dialMessages}. */
export interface MessageSocketOptions {
  /** `ws://` or `wss://`. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Longest message that may come, in bytes. */
  readonly maxReceiveBytes: number;
  readonly onOpen: () => void;
  readonly onMessage: (data: string | Uint8Array) => void;
}

/** A connection, from the moment that it is dialled. */
export interface MessageSocket {
  /** False before the connection is open, and once either side closes it. */
  readonly isOpen: boolean;
  /** Sends a text; dropped unless the connection is open. */
  send(text: string): void;
  /** Bytes that were sent but not taken by the system. */
  readonly bufferedBytes: number;
  /** Resolves when at most `bytes` are buffered, or the connection has ended. */
  drained(bytes: number): Promise<void>;
  /** Stops and resumes reading. */
  pause(isPaused: boolean): void;
  /** Begins to close in order. */
  close(code: number, reason: string): void;
  /** Breaks the connection at once. */
  terminate(): void;
  /** Resolves once nothing is left of the connection. */
  readonly ended: Promise<SocketEnd>;
}

/** Begins to connect; the first call loads the library. */
export async function dialMessages(options: MessageSocketOptions): Promise<MessageSocket> {
  // @ts-types="./ws.d.ts"
  const { WebSocket: Client } = await import("ws");
  return wrap(
    new Client(options.url, {
      headers: options.headers,
      perMessageDeflate: false,
      maxPayload: options.maxReceiveBytes,
    }),
    options,
  );
}

function wrap(webSocket: WebSocket, { onOpen, onMessage }: MessageSocketOptions): MessageSocket {
  const ended = Promise.withResolvers<SocketEnd>();
  const waiting = new Set<() => void>();
  let isOpened = false;
  let fault: SocketEnd | undefined;
  const look = () => {
    for (const wake of [...waiting]) wake();
  };
  webSocket.on("open", () => {
    isOpened = true;
    onOpen();
  });
  webSocket.on("message", (data, isBinary) => onMessage(isBinary ? bytesOf(data) : textOf(data)));
  webSocket.on("error", (error) => fault ??= faultOf(error, isOpened));
  webSocket.on("unexpected-response", (_request, response) => {
    fault = refusalOf(response);
    // What follows the header does not matter, and may be endless.
    response.destroy();
    webSocket.terminate();
  });
  webSocket.once("close", (code, reason) => {
    ended.resolve(fault ?? endOf(code, reason.toString("utf8"), isOpened));
    look();
  });
  return {
    get isOpen() {
      return webSocket.readyState === OPEN;
    },
    send(text) {
      if (webSocket.readyState === OPEN) webSocket.send(text, { binary: false }, look);
    },
    get bufferedBytes() {
      return webSocket.bufferedAmount;
    },
    drained(bytes) {
      return new Promise((resolve) => {
        const wake = () => {
          if (webSocket.readyState === OPEN && webSocket.bufferedAmount > bytes) return;
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
        wake();
      });
    },
    pause: (isPaused) => isPaused ? webSocket.pause() : webSocket.resume(),
    close: (code, reason) => webSocket.close(code, reason),
    terminate: () => webSocket.terminate(),
    ended: ended.promise,
  };
}

const OPEN = 1;
/** The library's code for an end without a close frame. */
const NO_CLOSE_FRAME = 1006;

function endOf(code: number, reason: string, isOpened: boolean): SocketEnd {
  if (!isOpened) return { kind: "unreachable", reason: "The connection broke in its handshake" };
  return code === NO_CLOSE_FRAME ? { kind: "broken" } : { kind: "closed", code, reason };
}

function faultOf(error: Error, isOpened: boolean): SocketEnd | undefined {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") return { kind: "too_large" };
  if (code.startsWith("WS_ERR_")) return { kind: "invalid", reason: messageOf(error) };
  if (!isOpened) return { kind: "unreachable", reason: messageOf(error) || code };
  return { kind: "broken" };
}

function refusalOf({ statusCode = 0, headers }: IncomingMessage): SocketEnd {
  return { kind: "refused", status: statusCode, retryAfter: headers["retry-after"] };
}

function bytesOf(data: RawData): Uint8Array {
  return data instanceof ArrayBuffer
    ? new Uint8Array(data)
    : Array.isArray(data)
    ? new Uint8Array(data.flatMap((part) => [...part]))
    : data;
}

function textOf(data: RawData): string {
  return new TextDecoder().decode(bytesOf(data));
}
