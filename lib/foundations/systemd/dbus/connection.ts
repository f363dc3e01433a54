/**
 * A connection to a message bus, or directly to a service that speaks as a bus does.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import {
  DBusError,
  decodeMessage,
  encodeMessage,
  type Message,
  signalMember,
} from "@lib/foundations/systemd/dbus/message.ts";
import {
  authenticate,
  type ByteStream,
  FrameBuffer,
  Outbox,
} from "@lib/foundations/systemd/dbus/stream.ts";
import type { DBusValue } from "@lib/foundations/systemd/dbus/types.ts";

/** A method to call. */
export interface MethodCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Types of the arguments. @default {""} */
  readonly signature?: string;
  readonly body?: readonly DBusValue[];
}

/** Options for {@linkcode BusConnection.call}. */
export interface CallOptions {
  readonly signal: AbortSignal;
  /** Longest wait for the reply. @default {25000} */
  readonly timeoutMs?: number;
}

/** A selection of signals; every part present must be equal. */
export interface MatchRule {
  /** A unique name such as `:1.7`, or `org.freedesktop.DBus`. */
  readonly sender: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** The first argument, if it is a string. */
  readonly arg0?: string;
}

/** The end of a connection. */
export type ConnectionEnd =
  | { readonly kind: "disposed" }
  | { readonly kind: "lost"; readonly error: CicdError };

/** Default of {@linkcode CallOptions.timeoutMs}. */
const DEFAULT_CALL_TIMEOUT_MS = 25_000;
/** Most calls that wait for a reply at once. */
const MAX_PENDING_CALLS = 1_024;

/** The bus itself. */
export const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

interface PendingCall {
  readonly name: string;
  readonly resolve: (body: readonly DBusValue[]) => void;
  readonly reject: (error: unknown) => void;
}

interface Subscription {
  readonly rule: MatchRule;
  readonly handler: (body: readonly DBusValue[]) => void;
}

/** A healthy bus answers in milliseconds, a stuck one maybe never. */
const OPEN_DEADLINE_MS = 10_000;

/**
 * One authenticated connection, made by {@linkcode BusConnection.open}.
 *
 * Calls may overlap: messages are written whole and in order, replies arrive as
 * the services answer. When the connection ends, every pending call rejects with
 * the reason and `closed` resolves; it never recovers, its owner opens another.
 */
export class BusConnection implements AsyncDisposable {
  readonly #stream: ByteStream;
  readonly #tasks = new TaskGroup({ onFailure: (_name, error) => this.#lose(error) });
  readonly #closed = Promise.withResolvers<ConnectionEnd>();
  readonly #pending = new Map<number, PendingCall>();
  readonly #outbox = new Outbox();
  /** The peer is the service itself: it knows neither names nor rules, and sends all its signals. */
  readonly isDirect: boolean;
  readonly #subscriptions = new Set<Subscription>();
  #lastSerial = 0;
  #end: ConnectionEnd | undefined;

  private constructor(stream: ByteStream, isDirect: boolean) {
    this.#stream = stream;
    this.isDirect = isDirect;
  }

  /**
   * Authenticates and registers with the bus; owns the stream from now on, even if it fails.
   *
   * @param options.isDirect The stream leads to the service itself.
   * @throws {CicdError} `systemd_unavailable` if the bus refuses or disconnects.
   */
  static async open(
    stream: ByteStream,
    signal: AbortSignal,
    { isDirect = false }: { readonly isDirect?: boolean } = {},
  ): Promise<BusConnection> {
    const connection = new BusConnection(stream, isDirect);
    using deadline = withDeadline(signal, OPEN_DEADLINE_MS, "the user's bus to say hello");
    const onAbort = () => connection.#lose(deadline.reason);
    deadline.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      await authenticate(stream);
      connection.#tasks.spawn("read", () => connection.#read());
      connection.#tasks.spawn("write", () => connection.#outbox.run(stream));
      if (!isDirect) await connection.call({ ...BUS, member: "Hello" }, { signal: deadline });
      return connection;
    } catch (error) {
      await connection[Symbol.asyncDispose]();
      signal.throwIfAborted();
      throw error instanceof CicdError ? error : lostError(error);
    } finally {
      deadline.removeEventListener("abort", onAbort);
    }
  }

  /** Resolves when the connection has ended; never rejects. */
  get closed(): Promise<ConnectionEnd> {
    return this.#closed.promise;
  }

  /**
   * Calls a method and waits for the reply's arguments.
   *
   * An abandoned call may still have been executed.
   *
   * @throws {DBusError} If the service answers with an error.
   * @throws {CicdError} `systemd_unavailable` if the connection ends, the reply
   * is late, or too many calls are waiting; the outcome of the call is then unknown.
   */
  async call(call: MethodCall, options: CallOptions): Promise<readonly DBusValue[]> {
    const { signal, timeoutMs = DEFAULT_CALL_TIMEOUT_MS } = options;
    signal.throwIfAborted();
    const name = `${call.interface}.${call.member}`;
    if (this.#pending.size >= MAX_PENDING_CALLS) {
      throw unavailable(`Cannot call ${name}: ${this.#pending.size} calls are waiting already`);
    }
    const reply = Promise.withResolvers<readonly DBusValue[]>();
    const serial = this.#send({ kind: "call", ...call });
    this.#pending.set(serial, { name, resolve: reply.resolve, reject: reply.reject });
    using deadline = withDeadline(signal, timeoutMs, `the reply to ${name}`);
    const onAbort = () =>
      reply.reject(
        signal.aborted
          ? signal.reason
          : unavailable(`Cannot call ${name}: no reply within ${timeoutMs} ms`, deadline.reason),
      );
    deadline.addEventListener("abort", onAbort, { once: true });
    try {
      return await reply.promise;
    } finally {
      deadline.removeEventListener("abort", onAbort);
      this.#pending.delete(serial);
    }
  }

  /**
   * Receives signals in order of arrival until the connection ends.
   *
   * A handler must not throw: its error would end the connection.
   */
  async subscribe(
    rule: MatchRule,
    handler: (body: readonly DBusValue[]) => void,
    options: CallOptions,
  ): Promise<void> {
    const subscription = { rule, handler };
    this.#subscriptions.add(subscription);
    if (this.isDirect) return;
    try {
      const match = { ...BUS, member: "AddMatch", signature: "s", body: [ruleText(rule)] };
      await this.call(match, options);
    } catch (error) {
      this.#subscriptions.delete(subscription);
      throw error;
    }
  }

  /** Ends the connection as lost, for a reason of its owner's. */
  abandon(error: CicdError): void {
    this.#lose(error);
  }

  /** Ends the connection; pending calls reject. May be called again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#finish({ kind: "disposed" });
    await this.#tasks[Symbol.asyncDispose]();
  }

  async #read(): Promise<void> {
    const frames = new FrameBuffer();
    while (this.#end === undefined) {
      const count = await this.#stream.read(frames.space());
      if (count === null) throw unavailable("The connection to the user's bus was closed");
      frames.filled(count);
      for (let frame = frames.next(); frame !== undefined; frame = frames.next()) {
        if (this.#isWanted(signalMember(frame))) this.#dispatch(decodeMessage(frame));
      }
    }
  }

  #isWanted(member: string | undefined): boolean {
    if (member === undefined) return true;
    for (const { rule } of this.#subscriptions) if (rule.member === member) return true;
    return false;
  }

  #dispatch(message: Message): void {
    const { kind, body = [] } = message;
    switch (kind) {
      case "reply":
        return this.#pending.get(message.replySerial ?? 0)?.resolve(body);
      case "error": {
        const call = this.#pending.get(message.replySerial ?? 0);
        const text = typeof body[0] === "string" ? body[0] : "";
        return call?.reject(new DBusError(message.errorName ?? "", call.name, text));
      }
      case "signal":
        for (const { rule, handler } of this.#subscriptions) {
          if ((this.isDirect || message.sender === rule.sender) && matches(rule, message)) {
            handler(body);
          }
        }
        return;
      case "call":
        return this.#refuse(message);
      case "other":
        return;
      default:
        return kind satisfies never;
    }
  }

  /** This client offers no methods, but callers get an answer. */
  #refuse(call: Message): void {
    if (call.noReply === true || call.sender === undefined) return;
    this.#send({
      kind: "error",
      noReply: true,
      replySerial: call.serial,
      destination: call.sender,
      errorName: "org.freedesktop.DBus.Error.UnknownMethod",
    });
  }

  /** Queues a message and returns its serial. */
  #send(message: Omit<Message, "serial">): number {
    if (this.#end !== undefined) throw connectionError(this.#end);
    const serial = this.#lastSerial === 0xffff_ffff ? 1 : this.#lastSerial + 1;
    this.#outbox.push(encodeMessage({ ...message, serial }));
    this.#lastSerial = serial;
    return serial;
  }

  #lose(cause: unknown): void {
    this.#finish({
      kind: "lost",
      error: cause instanceof CicdError ? cause : lostError(cause),
    });
  }

  #finish(end: ConnectionEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#outbox.close();
    this.#stream.close();
    const error = connectionError(end);
    for (const call of this.#pending.values()) call.reject(error);
    this.#subscriptions.clear();
    this.#closed.resolve(end);
  }
}

/** Returns the error that calls reject with after the connection has ended. */
export function connectionError(end: ConnectionEnd): CicdError {
  if (end.kind === "lost") return end.error;
  return unavailable("Cannot use the connection to the user's bus: it was disposed");
}

function lostError(cause: unknown): CicdError {
  return unavailable(`The connection to the user's bus was lost: ${messageOf(cause)}`, cause);
}

function unavailable(message: string, cause?: unknown): CicdError {
  return new CicdError("systemd_unavailable", message, { cause });
}

function matches(rule: MatchRule, signal: Message): boolean {
  return signal.member === rule.member && signal.interface === rule.interface &&
    signal.path === rule.path &&
    (rule.arg0 === undefined || signal.body?.[0] === rule.arg0);
}

/** Formats the rule for `AddMatch`. */
function ruleText(rule: MatchRule): string {
  const parts = Object.entries({ type: "signal", ...rule });
  return parts.map(([key, value]) => `${key}='${value.replaceAll("'", "'\\''")}'`).join(",");
}
