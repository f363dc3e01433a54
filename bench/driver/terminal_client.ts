/**
 * Clients of terminals over WebSocket: of the product's and of wetty's.
 *
 * @module
 */
import { dialWebSocket, type WebSocketLink } from "@lib/foundations/http/web_socket_client.ts";

/** Takes the number of bytes that came; the client takes no more until it resolves. */
export type TakeOutput = (bytes: number) => void | Promise<void>;

/** An open terminal. Disposing breaks the connection. */
export interface TerminalClient extends Disposable {
  /** Bytes of output that came. */
  readonly bytes: number;
  /** Types something. */
  type(text: string): Promise<void>;
  /** Resolves at once when so many bytes have come. @throws {Error} If it ends before. */
  until(bytes: number): Promise<void>;
  /** Resolves when the program has ended. */
  readonly ended: Promise<void>;
  /** Ends the program; resolves when the connection has ended. */
  end(): Promise<void>;
}

/** A server of terminals. */
export interface TerminalServer {
  open(signal: AbortSignal, take?: TakeOutput): Promise<TerminalClient>;
}

const MAX_BYTES = 16 * 1024 * 1024;
const INTERRUPT = "\x03";

/** The product, over TCP. */
export function productTerminals(
  { origin, path, key }: { readonly origin: string; readonly path: string; readonly key: string },
): TerminalServer {
  const encoder = new TextEncoder();
  return {
    async open(signal, take) {
      const headers = { authorization: `Bearer ${key}` };
      const target = { at: { origin }, path, headers, maxReceiveBytes: MAX_BYTES };
      const link = await dialWebSocket(target, signal);
      const client = new Client(link, {
        type: (text) => link.send(encoder.encode(text)),
        end: async () => {
          await link.send(encoder.encode(INTERRUPT));
          await link.closed;
        },
      });
      link.listen((message) =>
        typeof message === "string" ? undefined : client.take(message.length, take)
      );
      return client;
    },
  };
}

/** wetty, whose messages are those of socket.io 4. */
export function wettyTerminals(origin: string): TerminalServer {
  return {
    async open(signal, take) {
      const path = "/socket.io/?EIO=4&transport=websocket";
      const link = await dialWebSocket(
        { at: { origin }, path, maxReceiveBytes: MAX_BYTES },
        signal,
      );
      const say = (...event: readonly unknown[]) => link.send(`42${JSON.stringify(event)}`);
      const client = new Client(link, {
        type: (text) => say("input", text),
        async end() {
          link.close();
          await link.closed;
        },
      });
      link.listen(async (message) => {
        if (typeof message !== "string") return;
        if (message.startsWith("0")) return await link.send("40");
        if (message === "2") return await link.send("3");
        const [name, data] = eventOf(message);
        if (name === "logout") client.over();
        if (name !== "data" || data === undefined) return;
        await client.take(data.length, take);
        // So its own client tells that it keeps up.
        await say("commit", data.length);
      });
      return client;
    },
  };
}

/** The name of an event and its text, if it has one. */
function eventOf(message: string): readonly [name?: string, text?: string] {
  const event: unknown = message.startsWith("42") ? JSON.parse(message.slice(2)) : [];
  if (!Array.isArray(event)) return [];
  const [name, text]: readonly unknown[] = event;
  return typeof text === "string" ? [String(name), text] : [String(name)];
}

type Ways = Pick<TerminalClient, "type" | "end">;

class Client implements TerminalClient {
  bytes = 0;
  readonly #link: WebSocketLink;
  readonly #ways: Ways;
  #wanted = Infinity;
  #come = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();

  constructor(link: WebSocketLink, ways: Ways) {
    this.#link = link;
    this.#ways = ways;
    void link.closed.then(({ code, text }) => {
      this.#ended.resolve();
      // One that nobody waits for is no failure.
      void this.#come.promise.catch(() => undefined);
      this.#come.reject(new Error(`The terminal closed with ${code} ${text}`));
    });
  }

  type(text: string): Promise<void> {
    return this.#ways.type(text);
  }

  end(): Promise<void> {
    return this.#ways.end();
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  over(): void {
    this.#ended.resolve();
  }

  until(bytes: number): Promise<void> {
    this.#wanted = bytes;
    this.#come = Promise.withResolvers();
    if (this.bytes >= bytes) this.#come.resolve();
    return this.#come.promise;
  }

  take(bytes: number, take: TakeOutput | undefined): void | Promise<void> {
    this.bytes += bytes;
    if (this.bytes >= this.#wanted) this.#come.resolve();
    return take?.(bytes);
  }

  [Symbol.dispose](): void {
    this.#link[Symbol.dispose]();
  }
}
