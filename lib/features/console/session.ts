/**
 * One connection to the console, from the dial to its end.
 *
 * The console takes no message before it has authenticated the connection, which its first frame
 * shows. After that a heartbeat at a time is under way; one that is not acknowledged means that the
 * other side is gone, whatever the network says.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { ConsoleChannel, ConsoleHandler } from "@lib/features/console/handler.ts";
import { isKept, type Message, type Outbox } from "@lib/features/console/outbox.ts";
import type { SessionFacts } from "@lib/features/console/faults.ts";
import {
  decodeFrame,
  encodeFrame,
  type Inbound,
  type Payload,
} from "@lib/features/console/wire.ts";
import { within } from "@lib/core/within.ts";
import type { MessageSocket, SocketEnd } from "@lib/foundations/http/message_socket.ts";

/** Opens a connection. */
export type DialConsole = (
  instanceId: string,
  listeners: {
    readonly onOpen: () => void;
    readonly onMessage: (data: string | Uint8Array) => void;
  },
) => Promise<MessageSocket>;

/** The means of a connection. */
export interface SessionPorts {
  readonly instanceId: string;
  readonly dial: DialConsole;
  readonly outbox: Outbox;
  readonly handlers: readonly ConsoleHandler[];
  /** Ends the work of the handlers, or gives up. */
  readonly closeHandlers: ConsoleHandler["close"];
  readonly clock: Clock;
  readonly log: Logger;
  readonly heartbeatMs: number;
  readonly heartbeat: () => Promise<Payload>;
  /** Called when a heartbeat was acknowledged; the first time of a connection it is news. */
  readonly onAcknowledged: (isFirst: boolean) => void;
  /** Called when a message waits that any connection may send. */
  readonly onKept: () => void;
  readonly onFrame: (kind: Inbound["kind"], what: string) => void;
  /** Work while the connection is good. */
  readonly whileGood: Readonly<
    Record<string, (channel: SessionChannel, signal: AbortSignal) => Promise<void>>
  >;
  /** Called before the connection is closed in order: sends what waits elsewhere. */
  readonly flush: (channel: SessionChannel) => void;
  /** Set after an unclean end: the console may still hold the connection before. */
  readonly isRenewed: boolean;
}

/** A channel that also sends what is settled elsewhere. */
export interface SessionChannel extends ConsoleChannel {
  post(message: Message): void;
}

/** Time for the handshake. */
const OPEN_MS = 10_000;
/** Time for the first frame of the console; some send none. */
const READY_MS = 3_000;
/** Time for an acknowledgement. */
const ACKNOWLEDGE_MS = 20_000;
/** The console forgets a broken connection 30 s after the next one. */
const RENEW_MS = 40_000;
const LOOK_AGAIN_MS = 5_000;
const FLUSH_MS = 2_000;
const CLOSE_MS = 2_500;
const MAX_UNUSABLE = 100;
/** Messages under way in handlers; reading stops beyond. */
const MAX_HANDLED = 64;
/** Bytes under way beyond which a sender waits. */
const HIGH_WATER_BYTES = 256 * 1024;

/** A connection. */
export class Session {
  readonly #ports: SessionPorts;
  readonly #ready = Promise.withResolvers<void>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #gone = new AbortController();
  #tasks: TaskGroup | undefined;
  #socket: MessageSocket | undefined;
  #acknowledged: (() => void) | undefined;
  #cause: SessionFacts["cause"];
  #wasGood = false;
  #hasOpened = false;
  #isFinishing = false;
  #isTooSlow = false;
  #unusable = 0;
  #handled = 0;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
  }

  /** Connects, and serves until the end. @returns What happened; nothing of it is left. */
  async run(signal: AbortSignal): Promise<SessionFacts> {
    const { dial, instanceId, outbox, clock, log } = this.#ports;
    const socket = await dial(instanceId, {
      onOpen: () => {
        this.#hasOpened = true;
        this.#opened.resolve();
      },
      onMessage: (data) => this.#take(data),
    });
    this.#socket = socket;
    const onAbort = () => socket.terminate();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted || this.#isFinishing) onAbort();
    let end: SocketEnd;
    {
      await using tasks = new TaskGroup({
        onFailure(task, error) {
          log.error("A part of the console link failed", { task, error });
          socket.terminate();
        },
      });
      this.#tasks = tasks;
      tasks.spawn("open", (own) => this.#open(socket, own));
      end = await socket.ended;
      this.#gone.abort(new DOMException("The console link has ended", "AbortError"));
      // Before the tasks are awaited: what a handler does may last as long as a command.
      if (!this.#isFinishing) {
        await this.#ports.closeHandlers("the console link has ended", signal, false);
      }
    }
    signal.removeEventListener("abort", onAbort);
    if (this.#isTooSlow) {
      end = {
        kind: "unreachable",
        reason: `No answer to the handshake within ${OPEN_MS / 1_000} s`,
      };
    }
    // A link that ended by this side's breaking it is not clean, whatever the library says.
    const isClean = end.kind === "closed" && this.#cause !== "silent";
    outbox.ended({ isClean }, clock.now());
    return { end, wasGood: this.#wasGood, cause: this.#cause, wasOpen: this.#hasOpened };
  }

  /** Ends the connection in order: work, what waits, the close frame. */
  async finish(reason: string, signal: AbortSignal): Promise<void> {
    const socket = this.#socket;
    if (this.#isFinishing) return;
    this.#isFinishing = true;
    if (socket === undefined) return;
    const { clock, flush } = this.#ports;
    if (this.#wasGood) {
      await this.#ports.closeHandlers(reason, signal, true);
      flush(this.#channel());
      this.pump();
      await within(clock, socket.drained(0), FLUSH_MS, signal);
    }
    socket.close(NORMAL, reason);
    if (!await within(clock, socket.ended, CLOSE_MS, signal)) socket.terminate();
  }

  /** Sends what waits, unless the console is slow. */
  pump(): void {
    const { outbox, clock } = this.#ports;
    const socket = this.#socket;
    if (socket === undefined || !this.#wasGood) return;
    // What comes while the connection closes is for the next one.
    while (socket.isOpen && socket.bufferedBytes < HIGH_WATER_BYTES) {
      const next = outbox.take(clock.now());
      if (next === undefined) return;
      socket.send(encodeFrame(next.type, next.payload));
    }
  }

  async #open(socket: MessageSocket, signal: AbortSignal): Promise<void> {
    const { clock, isRenewed, whileGood } = this.#ports;
    if (!await within(clock, this.#opened.promise, OPEN_MS, signal)) {
      this.#isTooSlow = true;
      return socket.terminate();
    }
    await within(clock, this.#ready.promise, READY_MS, signal);
    await this.#beat(socket, signal);
    if (!this.#wasGood) return;
    const channel = this.#channel();
    for (const [name, work] of Object.entries(whileGood)) {
      this.#tasks?.spawn(name, (own) => work(channel, own));
    }
    if (isRenewed) this.#tasks?.spawn("renew", (own) => this.#renew(socket, own));
    while (!signal.aborted) {
      await clock.sleep(this.#ports.heartbeatMs, { signal });
      await this.#beat(socket, signal);
    }
  }

  async #beat(socket: MessageSocket, signal: AbortSignal): Promise<void> {
    const { clock, outbox, heartbeat, onAcknowledged } = this.#ports;
    const payload = await heartbeat();
    signal.throwIfAborted();
    const acknowledged = Promise.withResolvers<void>();
    this.#acknowledged = acknowledged.resolve;
    outbox.mark();
    socket.send(encodeFrame("heartbeat", payload));
    if (!await within(clock, acknowledged.promise, ACKNOWLEDGE_MS, signal)) {
      this.#cause ??= "silent";
      return socket.terminate();
    }
    outbox.acknowledged();
    const isFirst = !this.#wasGood;
    this.#wasGood = true;
    onAcknowledged(isFirst);
    this.pump();
  }

  /**
   * Connects once more, in order. When the console gives up the connection that broke, it takes this
   * one for gone too, and delivers no commands until the next.
   */
  async #renew(socket: MessageSocket, signal: AbortSignal): Promise<void> {
    const { clock, handlers } = this.#ports;
    await clock.sleep(RENEW_MS, { signal });
    while (this.#handled > 0 || handlers.some(({ needsConnection }) => needsConnection)) {
      await clock.sleep(LOOK_AGAIN_MS, { signal });
    }
    this.#cause ??= "renewing";
    this.#isFinishing = true;
    socket.close(NORMAL, "agent reconnects");
    await clock.sleep(CLOSE_MS, { signal });
    socket.terminate();
  }

  #take(data: string | Uint8Array): void {
    const { onFrame } = this.#ports;
    const frame = decodeFrame(data);
    switch (frame.kind) {
      case "pong":
        onFrame("pong", "");
        this.#ready.resolve();
        this.#acknowledged?.();
        return;
      case "message":
        onFrame("message", frame.type);
        this.#ready.resolve();
        return this.#handle(frame.type, frame.payload);
      case "forged":
        return onFrame("forged", frame.type);
      case "unusable":
        onFrame("unusable", frame.reason);
        if (++this.#unusable < MAX_UNUSABLE || this.#cause !== undefined) return;
        this.#cause = "garbled";
        return this.#socket?.terminate();
    }
  }

  #handle(type: string, payload: Payload): void {
    const { handlers, log } = this.#ports;
    const handler = handlers.find(({ types }) => types.includes(type));
    // What the console wants of a link that ends is not begun.
    if (handler === undefined || this.#isFinishing) return;
    if (++this.#handled >= MAX_HANDLED) this.#socket?.pause(true);
    this.#tasks?.spawn(type, async () => {
      try {
        await handler.handle({ type, payload }, this.#channel());
      } catch (error) {
        log.error("Cannot handle a message of the console", { type, error });
      } finally {
        if (--this.#handled < MAX_HANDLED) this.#socket?.pause(false);
      }
    });
  }

  #channel(): SessionChannel {
    const { outbox, clock } = this.#ports;
    const socket = this.#socket;
    const gone = this.#gone.signal;
    const post = (message: Message) => {
      if (socket?.isOpen === true) {
        socket.send(encodeFrame(message.type, message.payload));
        outbox.sent(message);
        // What is settled elsewhere is sent again from there.
      } else if (message.onSettled === undefined) outbox.drop(message.type);
    };
    return {
      post,
      send: (type, payload) => {
        if (isKept(type)) {
          // A command may have outlived its connection: the next one sends.
          outbox.add(type, payload, clock.now());
          this.#ports.onKept();
        } else post({ type, payload, at: clock.now() });
      },
      get bufferedBytes() {
        return socket?.bufferedBytes ?? 0;
      },
      async drained(signal) {
        gone.throwIfAborted();
        await raceAbort(socket?.drained(HIGH_WATER_BYTES) ?? Promise.resolve(), signal);
        gone.throwIfAborted();
      },
    };
  }
}

const NORMAL = 1000;
