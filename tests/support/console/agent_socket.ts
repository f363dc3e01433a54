/**
 * The console's end of one agent's connection.
 *
 * @module
 */
import type { Duplex } from "node:stream";
// @ts-types="../../../lib/foundations/http/ws.d.ts"
import type { RawData, WebSocket } from "ws";
import { Buffer } from "node:buffer";
import { type AgentEnvelope, agentFrame, readFrame } from "./envelope.ts";
import { messageFaults } from "./message_rules.ts";
import { fragments, OPCODES, rawFrame } from "./raw_frame.ts";
import { type Fault, fault, type Json, readRecord } from "./verdict.ts";

/** A message that the console took, rightly or not. */
export interface Received {
  readonly type: string;
  readonly sessionId: string | undefined;
  /** Empty where the payload is no object. */
  readonly payload: Json;
  readonly faults: readonly Fault[];
}

/** How a connection ended. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
}

/** Options for {@linkcode AgentSocket}. */
export interface AgentSocketOptions {
  readonly webSocket: WebSocket;
  readonly stream: Duplex;
  /** Absent where the agent does not say; the console then takes it for a browser. */
  readonly instanceId: string | undefined;
  /** Called after a message was recorded. */
  readonly onMessage: (socket: AgentSocket, received: Received) => void;
  /** Called for each fault. */
  readonly onFault: (fault: Fault) => void;
  readonly onClose: (socket: AgentSocket) => void;
}

/** One connection: what it sent, and what can be sent to it. */
export class AgentSocket {
  readonly instanceId: string | undefined;
  readonly received: Received[] = [];
  pings = 0;
  closing: Closing | undefined;
  /** Sent so far, before the console's checks. */
  frames = 0;
  readonly #webSocket: WebSocket;
  readonly #stream: Duplex;
  readonly #options: AgentSocketOptions;
  #listens = false;
  #isFrozen = false;

  constructor(options: AgentSocketOptions) {
    const { webSocket, stream, instanceId } = options;
    this.#options = options;
    this.#webSocket = webSocket;
    this.#stream = stream;
    this.instanceId = instanceId;
    webSocket.on("message", (data) => this.#take(data));
    webSocket.on("ping", () => this.pings += 1);
    webSocket.on("error", () => webSocket.terminate());
    webSocket.once("close", (code, reason) => {
      this.closing = { code, reason: reason.toString("utf8") };
      options.onClose(this);
    });
  }

  get isOpen(): boolean {
    return this.closing === undefined && !this.#isFrozen;
  }

  /** Begins to read; what came before is lost. */
  listen(): void {
    this.#listens = true;
  }

  /** Returns the messages of one type, in order. */
  of(type: string): readonly Received[] {
    return this.received.filter((message) => message.type === type);
  }

  /** Sends a message in the agent's shape. */
  send(type: string, payload: Json, sessionId?: string): void {
    this.sendText(agentFrame(type, payload, sessionId));
  }

  /** Sends any text as one message. */
  sendText(text: string): void {
    this.#write(rawFrame(OPCODES.text, new TextEncoder().encode(text)));
  }

  /** Sends bytes as one binary message. */
  sendBinary(bytes: Uint8Array): void {
    this.#write(rawFrame(OPCODES.binary, bytes));
  }

  /** Sends a text message in frames that are cut at these byte offsets. */
  sendFragments(text: string, cuts: readonly number[]): void {
    for (const frame of fragments(text, cuts)) this.#write(frame);
  }

  /** Sends bytes that need be no frame. */
  sendRaw(bytes: Uint8Array): void {
    this.#write(bytes);
  }

  /** Closes properly, and cuts after a time. */
  close(code: number, reason: string, timeoutMs = 1_000): void {
    if (this.closing !== undefined) return;
    this.#webSocket.close(code, reason);
    const timer = setTimeout(() => this.#webSocket.terminate(), timeoutMs);
    this.#webSocket.once("close", () => clearTimeout(timer));
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.#stream.destroy();
  }

  /** Reads and says nothing any more, with the connection open. */
  freeze(): void {
    this.#isFrozen = true;
    this.#webSocket.pause();
  }

  #write(bytes: Uint8Array): void {
    if (this.isOpen && !this.#stream.destroyed) this.#stream.write(bytes);
  }

  #take(data: RawData): void {
    this.frames += 1;
    const { onMessage, onFault } = this.#options;
    if (this.instanceId === undefined) {
      return onFault(fault("dropped", "no X-Instance-ID: the socket counts as a browser's"));
    }
    if (!this.#listens) return onFault(fault("dropped", "sent before the console listened"));
    const frame = readFrame(textOf(data));
    if (frame.kind === "dropped") return onFault(frame.fault);
    if (frame.kind === "native") {
      return onFault(fault("misread", `${frame.type}: in the console's own shape`));
    }
    const received = record(frame);
    this.received.push(received);
    for (const one of received.faults) onFault(one);
    onMessage(this, received);
  }
}

function record(frame: AgentEnvelope): Received {
  const { type, sessionId } = frame;
  return {
    type,
    sessionId,
    payload: readRecord(frame.payload) ?? {},
    faults: messageFaults(frame),
  };
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString("utf8");
  return (data instanceof ArrayBuffer ? Buffer.from(data) : data).toString("utf8");
}
