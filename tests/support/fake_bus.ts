/**
 * A message bus in memory, under one client connection.
 *
 * @module
 */
import {
  decodeMessage,
  encodeMessage,
  type Message,
} from "@lib/foundations/systemd/dbus/message.ts";
import { type ByteStream, FrameBuffer } from "@lib/foundations/systemd/dbus/stream.ts";

/** The bus's answer to a call; `undefined` leaves the caller waiting. */
export type Answer = Pick<Message, "signature" | "body" | "errorName"> | undefined;

/** Options for {@linkcode FakeBus}. */
export interface FakeBusOptions {
  /** Answers calls other than `Hello` and `AddMatch`, which succeed. */
  readonly answer?: (call: Message) => Answer;
  /** Most bytes that one read or write moves. @default {no bound} */
  readonly chunkBytes?: number;
  /** Plays the service itself, which knows nothing of a bus and names no sender. */
  readonly isDirect?: boolean;
  /** The bus's reply to the authentication. @default {"OK 00ff\r\n"} */
  readonly authAnswer?: string;
}

/** Plays the bus, and the services on it. */
export class FakeBus implements ByteStream {
  /** Every message of the client, in order. */
  readonly received: Message[] = [];
  /** Set once the client has closed the stream. */
  closed = false;
  readonly #options: FakeBusOptions;
  readonly #frames = new FrameBuffer();
  #authText: string | undefined = "";
  #outgoing = new Uint8Array(0);
  #hungUp = false;
  #wake: (() => void) | undefined;
  #serial = 0;

  constructor(options: FakeBusOptions = {}) {
    this.#options = options;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#outgoing.length === 0) {
      if (this.closed) throw new Error("the stream is closed");
      if (this.#hungUp) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const count = Math.min(buffer.length, this.#outgoing.length, this.#chunkBytes);
    buffer.set(this.#outgoing.subarray(0, count));
    this.#outgoing = this.#outgoing.slice(count);
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await Promise.resolve();
    if (this.closed || this.#hungUp) throw new Error("broken pipe");
    const count = Math.min(bytes.length, this.#chunkBytes);
    for (const byte of bytes.subarray(0, count)) this.#take(byte);
    return count;
  }

  close(): void {
    if (this.closed) throw new Error("the stream is closed already");
    this.closed = true;
    this.#wake?.();
  }

  /** Ends the connection from the bus's side. */
  hangUp(): void {
    this.#hungUp = true;
    this.#wake?.();
  }

  /** Sends a message to the client. */
  send(message: Omit<Message, "serial">): void {
    const { sender = "org.freedesktop.DBus", ...others } = message;
    const named = this.#options.isDirect === true ? others : { ...others, sender };
    this.sendBytes(encodeMessage({ ...named, serial: ++this.#serial }));
  }

  /** Sends bytes as they are. */
  sendBytes(bytes: Uint8Array): void {
    const joined = new Uint8Array(this.#outgoing.length + bytes.length);
    joined.set(this.#outgoing);
    joined.set(bytes, this.#outgoing.length);
    this.#outgoing = joined;
    this.#wake?.();
  }

  get #chunkBytes(): number {
    return this.#options.chunkBytes ?? Infinity;
  }

  #take(byte: number): void {
    if (this.#authText !== undefined) return this.#takeAuth(byte);
    this.#frames.space()[0] = byte;
    this.#frames.filled(1);
    const frame = this.#frames.next();
    if (frame !== undefined) this.#takeMessage(decodeMessage(frame));
  }

  #takeAuth(byte: number): void {
    this.#authText += String.fromCharCode(byte);
    if (this.#authText === "\0AUTH EXTERNAL\r\nDATA\r\n") {
      this.sendBytes(new TextEncoder().encode(this.#options.authAnswer ?? "DATA\r\nOK 00ff\r\n"));
    }
    if (this.#authText?.endsWith("BEGIN\r\n")) this.#authText = undefined;
  }

  #takeMessage(message: Message): void {
    this.received.push(message);
    if (message.kind !== "call") return;
    const answer = this.#answer(message);
    if (answer === undefined) return;
    const kind = answer.errorName === undefined ? "reply" : "error";
    this.send({ kind, noReply: true, replySerial: message.serial, ...answer });
  }

  #answer(call: Message): Answer {
    if (this.#options.isDirect === true) {
      const isForBus = call.interface === "org.freedesktop.DBus";
      if (!isForBus) return this.#options.answer?.(call);
      return { errorName: "org.freedesktop.DBus.Error.UnknownObject" };
    }
    if (call.member === "Hello") return { signature: "s", body: [":1.42"] };
    if (call.member === "AddMatch") return {};
    return this.#options.answer?.(call);
  }
}
