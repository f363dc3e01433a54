/**
 * A console in memory, under a test's control, for the pure part of the link.
 *
 * @module
 */
import type { DialConsole } from "@lib/features/console/session.ts";
import type { ConsoleRequest } from "@lib/features/console/http.ts";
import type { HttpOutcome } from "@lib/features/console/faults.ts";
import type { SocketEnd } from "@lib/foundations/http/message_socket.ts";

/** A frame that the link sent. */
export interface SentFrame {
  readonly protocol_version: string;
  readonly type: string;
  readonly session_id?: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** One connection. */
export class ScriptedSocket {
  readonly sent: SentFrame[] = [];
  readonly #ended = Promise.withResolvers<SocketEnd>();
  readonly #listeners: Parameters<DialConsole>[1];
  isOpen = false;
  isOver = false;
  acknowledges = true;
  /** Leaves a close frame of the link unanswered. */
  ignoresClose = false;
  closedWith: string | undefined;
  bufferedBytes = 0;
  isPaused = false;

  readonly instanceId: string;

  constructor(instanceId: string, listeners: Parameters<DialConsole>[1]) {
    this.instanceId = instanceId;
    this.#listeners = listeners;
  }

  get ended() {
    return this.#ended.promise;
  }

  open(): void {
    this.isOpen = true;
    this.#listeners.onOpen();
  }

  /** Opens, and says what the console says first. */
  ready(): void {
    this.open();
    this.say({ protocol_version: "1.0", type: "log:subscribe", payload: { paths: ["*"] } });
  }

  say(frame: unknown): void {
    this.give(JSON.stringify(frame));
  }

  give(data: string | Uint8Array): void {
    this.#listeners.onMessage(data);
  }

  pong(): void {
    this.say({
      protocolVersion: "1.0",
      channel: "heartbeat",
      type: "heartbeat:pong",
      data: { ok: true },
      ts: 1,
      instanceId: this.instanceId,
    });
  }

  end(end: SocketEnd): void {
    this.isOpen = false;
    this.isOver = true;
    this.#ended.resolve(end);
  }

  send(text: string): void {
    if (!this.isOpen) return;
    const frame: SentFrame = JSON.parse(text);
    this.sent.push(frame);
    if (frame.type === "heartbeat" && this.acknowledges) this.pong();
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
  }

  close(code: number, reason: string): void {
    this.closedWith = `${code} ${reason}`;
    this.isOpen = false;
    if (!this.ignoresClose) this.end({ kind: "closed", code, reason });
  }

  terminate(): void {
    this.end({ kind: "broken" });
  }

  /** Payloads of a type. */
  of(type: string): readonly SentFrame["payload"][] {
    return this.sent.filter((frame) => frame.type === type).map(({ payload }) => payload);
  }
}

/** The console: connections in order, and answers to requests. */
export class ScriptedConsole {
  readonly sockets: ScriptedSocket[] = [];
  readonly requests: ConsoleRequest[] = [];
  /** What a new connection does. */
  onDial: (socket: ScriptedSocket) => void = (socket) => socket.ready();
  /** How a request is answered. @default The instance is known. */
  answer: (request: ConsoleRequest) => HttpOutcome = ({ method }) =>
    method === "GET" ? json(200, { id: "cuid1" }) : json(201, { id: "cuid1" });

  get last(): ScriptedSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new TypeError("Nobody has connected");
    return socket;
  }

  /** Connections that are not over. */
  get alive(): number {
    return this.sockets.filter(({ isOver }) => !isOver).length;
  }

  readonly dial: DialConsole = (instanceId, listeners) => {
    const socket = new ScriptedSocket(instanceId, listeners);
    this.sockets.push(socket);
    void this.#greet(socket);
    return Promise.resolve(socket);
  };

  /** As from a network: after the caller has its connection, though at the same time of the clock. */
  async #greet(socket: ScriptedSocket): Promise<void> {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    this.onDial(socket);
  }

  readonly ask = (request: ConsoleRequest): Promise<HttpOutcome> => {
    this.requests.push(request);
    return Promise.resolve(this.answer(request));
  };
}

/** Makes an answer with JSON. */
export function json(status: number, body: unknown, retryAfter?: string): HttpOutcome {
  return { kind: "answer", status, body, retryAfter };
}
