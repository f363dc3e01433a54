/**
 * HTTP requests over a Unix socket.
 *
 * @module
 */
import { Agent, type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { Buffer } from "node:buffer";
import { CicdError, ignore } from "@lib/core/errors.ts";

/** A request. */
export interface UnixRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** An answer whose body has not been read yet: read it, or dispose. */
export interface UnixResponse extends Disposable {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Pull-based: what is not read is not buffered beyond the socket's own buffer. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Reads the rest of the body as text, at most `maxBytes`. */
  text(maxBytes?: number): Promise<string>;
}

/** A client with kept connections to one socket. */
export class UnixClient implements Disposable {
  readonly #agent: Agent;
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
    this.#agent = new Agent({ keepAlive: true, maxFreeSockets: 4, timeout: 0 });
  }

  /**
   * Sends a request; resolves when the answer's header is there.
   *
   * @throws {Deno.errors.NotFound | Deno.errors.ConnectionRefused} If nobody listens: nothing was
   * sent.
   * @throws {CicdError} `io_failed` if the connection broke.
   */
  send(wanted: UnixRequest): Promise<UnixResponse> {
    const target = { agent: this.#agent, socketPath: this.#socketPath };
    return exchange(wanted, this.#socketPath, (options) => httpRequest({ ...target, ...options }));
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** What of a request is the same whatever it is sent over. */
export interface ExchangeOptions {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Sends a request over a connection that `open` chooses.
 *
 * @param place Where it goes, for messages.
 * @throws As {@linkcode UnixClient.send} does.
 */
export function exchange(
  { method, path, headers, body, signal }: UnixRequest,
  place: string,
  open: (options: ExchangeOptions) => ClientRequest,
): Promise<UnixResponse> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const request = open({
      method,
      path,
      headers: {
        host: "localhost",
        ...headers,
        ...(bytes === undefined ? {} : { "content-length": String(bytes.length) }),
      },
    });
    const onAbort = () => {
      request.destroy(toError(signal.reason));
      // A connection that was still being made would else be kept open, and the process with it.
      request.once("socket", (socket) => socket.destroy());
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    request.on("error", (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(signal.aborted ? signal.reason : connectionError(error, place));
    });
    request.once("response", (message) => {
      resolve(new Incoming(message, request, signal, onAbort));
    });
    request.end(bytes);
  });
}

class Incoming implements UnixResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly #message: IncomingMessage;
  readonly #request: ClientRequest;
  readonly #signal: AbortSignal;
  readonly #onAbort: () => void;

  constructor(
    message: IncomingMessage,
    request: ClientRequest,
    signal: AbortSignal,
    onAbort: () => void,
  ) {
    this.#message = message;
    this.#request = request;
    this.#signal = signal;
    this.#onAbort = onAbort;
    // Told again to whoever reads; until then nobody may be listening.
    message.on("error", ignore("the reader is told"));
    this.status = message.statusCode ?? 0;
    this.headers = Object.fromEntries(
      Object.entries(message.headers).map(([name, value]) => [name, String(value)]),
    );
  }

  get body(): AsyncIterable<Uint8Array> {
    return this.#read();
  }

  async text(maxBytes = 16 * 1024 * 1024): Promise<string> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of this.#read()) {
      size += chunk.byteLength;
      if (size > maxBytes) {
        throw new CicdError("io_failed", `Cannot read the answer: larger than ${maxBytes} bytes`);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  }

  [Symbol.dispose](): void {
    this.#signal.removeEventListener("abort", this.#onAbort);
    if (!this.#message.complete) this.#request.destroy();
    // Without this the connection would not go back to the pool.
    else if (!this.#message.readableEnded) this.#message.resume();
  }

  async *#read(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of this.#message) yield chunk;
      if (!this.#message.complete) {
        throw new CicdError("io_failed", "Cannot read the answer: the connection broke");
      }
    } catch (error) {
      if (this.#signal.aborted) throw this.#signal.reason;
      if (error instanceof CicdError) throw error;
      throw new CicdError("io_failed", "Cannot read the answer: the connection broke", {
        cause: error,
      });
    } finally {
      this[Symbol.dispose]();
    }
  }
}

function connectionError(error: Error, socketPath: string): Error {
  const code = "code" in error ? error.code : undefined;
  if (code === "ENOENT") return new Deno.errors.NotFound(`No socket "${socketPath}"`);
  if (code === "ECONNREFUSED") {
    return new Deno.errors.ConnectionRefused(`Nobody listens on "${socketPath}"`);
  }
  return new CicdError("io_failed", `Cannot talk to "${socketPath}": the connection broke`, {
    cause: error,
  });
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
