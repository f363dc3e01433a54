/**
 * One client of a terminal.
 *
 * @module
 */
import { ignore } from "@lib/core/errors.ts";
import type { WebSocketPeer } from "@lib/foundations/http/web_socket.ts";
import type { TerminalMessage, ViewerRole } from "@lib/features/terminals/protocol.ts";

/** Options for {@linkcode Viewer}. */
export interface ViewerOptions {
  readonly peer: WebSocketPeer;
  readonly by: string;
  readonly mayWrite: boolean;
  readonly scrollback: number;
  readonly joinedAt: number;
  /** Called when less is queued than before. */
  readonly onDrained: () => void;
  /** Called once, if it takes so few messages that no more are kept. */
  readonly onBehind: () => void;
}

/** Longest frame that chunks of output are joined to. */
const FRAME_BYTES = 64 * 1024;
/** Messages that wait; each of a client can cause another. */
const MAX_MESSAGES = 1_024;

/** A client: its queue holds what its connection does not take yet. */
export class Viewer {
  readonly options: ViewerOptions;
  role: ViewerRole = "viewer";
  /** Bytes that came while it was too slow, and were not sent. */
  skipped = 0;
  readonly #queue: (Uint8Array | string)[] = [];
  /** Output since the moment of a screen that is being drawn. */
  #held: Uint8Array[] | undefined;
  #queued = 0;
  #messages = 0;
  #isBehind = false;
  #isSending = false;

  constructor(options: ViewerOptions) {
    this.options = options;
  }

  /** Bytes that wait. */
  get queued(): number {
    return this.#queued;
  }

  /** Nothing is being sent. */
  get isIdle(): boolean {
    return !this.#isSending;
  }

  /** Sends output, in order. */
  output(bytes: Uint8Array): void {
    if (this.skipped > 0) {
      this.skipped += bytes.length;
      return;
    }
    this.#queued += bytes.length;
    if (this.#held !== undefined) this.#held.push(bytes);
    else this.#put(bytes);
  }

  /** Sends a message, in order with the output. */
  tell(message: TerminalMessage): void {
    if (this.#isBehind) return;
    if (this.#messages >= MAX_MESSAGES) {
      this.#isBehind = true;
      return this.options.onBehind();
    }
    this.#messages++;
    this.#put(JSON.stringify(message));
  }

  /** Draws the screen as it is now; output that comes while it is drawn follows. */
  async draw(screen: Promise<string>): Promise<void> {
    this.skipped = 0;
    const held: Uint8Array[] = this.#held = [];
    const bytes = new TextEncoder().encode(await screen);
    // A later one takes its place.
    if (this.#held !== held) return;
    this.#held = undefined;
    this.tell({ type: "screen" });
    this.#queued += bytes.length;
    // A screen can be larger than any frame may be.
    for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
      this.#put(bytes.subarray(at, at + FRAME_BYTES));
    }
    for (const chunk of held) this.#put(chunk);
  }

  /** Gives up what waits; output is only counted until the screen is drawn again. */
  skip(): void {
    this.skipped = Math.max(1, this.#queued);
    this.#queue.splice(0, this.#queue.length, ...this.#queue.filter((each) => !isBytes(each)));
    this.#held = undefined;
    this.#queued = 0;
  }

  /** Resolves when everything was sent, or the client is gone. */
  async flushed(): Promise<void> {
    while (this.#isSending && !this.options.peer.signal.aborted) {
      await this.#sending.catch(ignore("the signal tells"));
    }
  }

  #sending: Promise<void> = Promise.resolve();

  #put(data: Uint8Array | string): void {
    this.#queue.push(data);
    if (this.#isSending) return;
    this.#isSending = true;
    this.#sending = this.#send();
    void this.#sending.catch(ignore("the signal tells its session"));
  }

  async #send(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const data = this.#next();
        const taken = this.options.peer.send(data);
        await taken;
        if (typeof data === "string") this.#messages--;
        else {
          this.#queued = Math.max(0, this.#queued - data.length);
          this.options.onDrained();
        }
      }
    } finally {
      this.#isSending = false;
    }
    this.options.onDrained();
  }

  /** Takes the next frame: what waits in small pieces goes as one. */
  #next(): Uint8Array | string {
    const first = this.#queue.shift() ?? "";
    if (!isBytes(first)) return first;
    const parts = [first];
    let length = first.length;
    for (let next = this.#queue[0]; isBytes(next); next = this.#queue[0]) {
      if (length + next.length > FRAME_BYTES) break;
      parts.push(next);
      length += next.length;
      this.#queue.shift();
    }
    return parts.length === 1 ? first : joined(parts, length);
  }
}

/** Joins pieces. */
export function joined(parts: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function isBytes(data: Uint8Array | string | undefined): data is Uint8Array {
  return data instanceof Uint8Array;
}
