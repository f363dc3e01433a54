/**
 * The console's WebSocket gateway: authentication, and the registry of connections.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
// @ts-types="../../../lib/foundations/http/ws.d.ts"
import { type WebSocket, WebSocketServer } from "ws";
import { AgentSocket, type Received } from "./agent_socket.ts";
import type { Changes } from "./changes.ts";
import { pongFrame } from "./envelope.ts";
import type { Instances } from "./instances.ts";
import { headersOf, keyOf } from "./rest.ts";
import { OPCODES, rawFrame } from "./raw_frame.ts";
import type { Script, UpgradeFault } from "./script.ts";
import { type Fault, fault } from "./verdict.ts";

const PATHS = ["/ws/agent", "/ws", "/ws/instances", "/ws/fleet"];
const MAX_RECEIVE_BYTES = 100 * 1024 * 1024;

/** What a gateway works on. */
export interface GatewayOptions {
  readonly keys: ReadonlySet<string>;
  readonly instances: Instances;
  readonly script: Script;
  readonly changes: Changes;
  /** How long a check of a key takes; what comes before its end is lost. */
  readonly authMs: number;
  /** How long the end of a replaced connection is waited for. */
  readonly closeTimeoutMs: number;
  readonly onFault: (fault: Fault) => void;
  readonly onMessage: (socket: AgentSocket, received: Received) => void;
  /** Called with an instance whose connection is not in the registry any more. */
  readonly onGone: (instanceId: string) => void;
}

/** The gateway. */
export class Gateway implements Disposable {
  /** All connections so far, open or not. */
  readonly sockets: AgentSocket[] = [];
  /** The headers of each upgrade. */
  readonly upgrades: Headers[] = [];
  readonly #options: GatewayOptions;
  readonly #registry = new Map<string, AgentSocket>();
  readonly #admitted = new WeakSet<AgentSocket>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #streams = new Set<Duplex>();
  readonly #server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MAX_RECEIVE_BYTES,
  });

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** Returns the connection that commands and terminals of an instance would take. */
  agent(instanceId: string): AgentSocket | undefined {
    const socket = this.#registry.get(instanceId);
    return socket?.closing === undefined ? socket : undefined;
  }

  /** Takes a request for a WebSocket. */
  upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    this.#streams.add(stream);
    stream.on("close", () => this.#streams.delete(stream));
    stream.on("error", () => stream.destroy());
    const url = new URL(request.url ?? "/", "http://console");
    this.upgrades.push(headersOf(request));
    this.#options.changes.notify();
    if (!PATHS.includes(url.pathname)) return void stream.destroy();
    const scripted = this.#options.script.upgrade;
    switch (scripted?.kind) {
      case "hang":
        return;
      case "cut":
        return void stream.destroy();
      case "answer":
        return answerUpgrade(stream, scripted);
      case "slow":
        return this.#later(scripted.ms, () => this.#open(request, stream, head, undefined));
      default:
        return this.#open(request, stream, head, scripted);
    }
  }

  #open(
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    scripted: UpgradeFault | undefined,
  ): void {
    if (stream.destroyed) return;
    this.#server.handleUpgrade(request, stream, head, (webSocket) => {
      if (scripted?.kind === "closeAtOnce") {
        stream.write(rawFrame(OPCODES.close, closeBody(scripted.code, scripted.reason)));
        webSocket.on("error", () => webSocket.terminate());
        return this.#later(1_000, () => webSocket.terminate());
      }
      const socket = this.#adopt(request, webSocket, stream);
      if (scripted?.kind === "deaf") return socket.freeze();
      this.#later(this.#options.authMs, () => this.#authenticate(request, socket));
    });
  }

  #adopt(request: IncomingMessage, webSocket: WebSocket, stream: Duplex): AgentSocket {
    const { onFault, changes } = this.#options;
    const socket = new AgentSocket({
      webSocket,
      stream,
      instanceId: headersOf(request).get("x-instance-id") ?? undefined,
      onFault,
      onMessage: (from, received) => this.#take(from, received),
      onClose: (from) => this.#closed(from),
    });
    this.sockets.push(socket);
    changes.notify();
    return socket;
  }

  #authenticate(request: IncomingMessage, socket: AgentSocket): void {
    const { keys, instances, closeTimeoutMs } = this.#options;
    if (socket.closing !== undefined) return;
    const url = new URL(request.url ?? "/", "http://console");
    const key = keyOf(headersOf(request)) ?? url.searchParams.get("apiKey") ?? "";
    if (!keys.has(key)) return socket.close(1008, "Invalid API key");
    const id = socket.instanceId;
    if (id === undefined) return socket.listen();
    if (instances.byId(id) === undefined) {
      return socket.close(1008, `Unknown instance ID: ${id}`);
    }
    const before = this.#registry.get(id);
    if (before !== undefined && before.closing === undefined) {
      this.#options.onFault(fault("lost", "two sockets for one instance"));
      before.close(1001, "Replaced by new connection", closeTimeoutMs);
    }
    this.#registry.set(id, socket);
    this.#admitted.add(socket);
    instances.connected(id, Date.now());
    socket.listen();
    socket.send("log:subscribe", { paths: ["*"] });
    this.#options.changes.notify();
  }

  #take(socket: AgentSocket, received: Received): void {
    const { instances, script, changes, onMessage } = this.#options;
    const id = socket.instanceId ?? "";
    const isLost = received.faults.some(({ harm }) => harm !== "misread");
    if (received.type === "heartbeat" && !isLost) {
      instances.beat(id, Date.now());
      if (script.acknowledges) socket.sendText(pongFrame(id, Date.now()));
    }
    onMessage(socket, received);
    changes.notify();
  }

  /** As in the real one, the end of a replaced connection takes its successor's entry away. */
  #closed(socket: AgentSocket): void {
    const id = socket.instanceId;
    if (id !== undefined && this.#admitted.has(socket)) {
      this.#registry.delete(id);
      this.#options.instances.closed(id);
      this.#options.onGone(id);
    }
    this.#options.changes.notify();
  }

  #later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    for (const stream of this.#streams) stream.destroy();
  }
}

function answerUpgrade(stream: Duplex, answer: UpgradeFault & { readonly kind: "answer" }): void {
  const { status, headers = {}, body = "" } = answer;
  const lines = [
    `HTTP/1.1 ${status} Answer`,
    "Connection: close",
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  stream.end(`${lines.join("\r\n")}\r\n\r\n${body}`);
}

function closeBody(code: number, reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason);
  const body = new Uint8Array(2 + text.byteLength);
  new DataView(body.buffer).setUint16(0, code);
  body.set(text, 2);
  return body;
}
