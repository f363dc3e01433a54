/**
 * Types of the part of ws in use. The published types depend on those of an old Node, which
 * would replace the runtime's own in the whole project.
 */
import type { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";

/** A message; by default in one piece. */
export type RawData = Buffer | ArrayBuffer | Buffer[];

/** One end of a connection. */
export declare class WebSocket {
  static readonly OPEN: 1;
  constructor(
    url: string,
    options?: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly autoPong?: boolean;
      readonly perMessageDeflate?: boolean;
      readonly maxPayload?: number;
      /** Opens the connection; of `ws:` only. */
      readonly createConnection?: () => Socket;
      /** PEM text of an authority to trust, besides the system's. */
      readonly ca?: string;
    },
  );
  readonly readyState: number;
  readonly bufferedAmount: number;
  readonly isPaused: boolean;
  on(event: "message", listener: (data: RawData, isBinary: boolean) => void): this;
  on(event: "close", listener: (code: number, reason: Buffer) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  on(
    event: "unexpected-response",
    listener: (request: unknown, response: IncomingMessage) => void,
  ): this;
  on(event: "open" | "ping" | "pong", listener: (data?: unknown) => void): this;
  once(event: "close", listener: (code: number, reason: Buffer) => void): this;
  send(
    data: Uint8Array | string,
    options: { readonly binary: boolean },
    done: (error?: Error | null) => void,
  ): void;
  ping(): void;
  pause(): void;
  resume(): void;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

/** The server's side. */
export declare class WebSocketServer {
  constructor(options: {
    readonly noServer: true;
    readonly clientTracking: boolean;
    readonly perMessageDeflate: boolean;
    readonly maxPayload: number;
  });
  /** A handshake that is invalid; the listener answers it. */
  on(event: "wsClientError", listener: (error: Error, socket: Duplex) => void): this;
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    done: (socket: WebSocket) => void,
  ): void;
}
