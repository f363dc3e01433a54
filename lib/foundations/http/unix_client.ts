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

/** An answer with an unread body: read it, or dispose. */
export interface UnixResponse extends Disposable {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Pull-based: unread data stays in the socket's buffer. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Reads the rest of the body as text, at most `maxBytes`. */
  text(maxBytes?: number): Promise<string>;
}

/** A client with persistent connections to one socket. */
export class UnixClient implements Disposable {
  readonly #agent: Agent;
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
    this.#agent = new Agent({ keepAlive: true, maxFreeSockets: 4, timeout: 0 });
  }

  /** Where it sends to. */
  get target() {
    return { at: { socketPath: this.#socketPath } };
  }

  /**
   * Sends a request; resolves when the answer's header has arrived.
   *
   * @throws {Deno.errors.NotFound | Deno.errors.ConnectionRefused} If nobody listens; nothing was
   * sent.
   * @throws {CicdError} `io_failed` if the connection broke.
   */
  send(request: UnixRequest): Promise<UnixResponse> {
    const target = { agent: this.#agent, socketPath: this.#socketPath };
    return exchange(request, this.#socketPath, (options) => httpRequest({ ...target, ...options }));
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/**
 * Sends a request over a connection that `open` chooses; throws as {@linkcode UnixClient.send}.
 *
 * @param place The destination, for messages.
 */
export function exchange(
  { method, path, headers, body, signal }: UnixRequest,
  place: string,
  open: (options: Required<Pick<UnixRequest, "method" | "path" | "headers">>) => ClientRequest,
): Promise<UnixResponse> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const request = open({
      method,
      path,
      headers: {
        host: "localhost",
        ...headers,
        ...(body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) }),
      },
    });
    const onAbort = () => {
      const { reason } = signal;
      request.destroy(reason instanceof Error ? reason : new Error(String(reason)));
      // A connection in progress would otherwise stay open, and keep the process running.
      request.once("socket", (socket) => socket.destroy());
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    request.on("error", (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(signal.aborted ? signal.reason : connectionError(error, place));
    });
    request.once("response", (message) => {
      resolve(toResponse(message, request, signal, onAbort));
    });
    // As text it is sent with the header, in one segment: the server wakes up once.
    request.end(body);
  });
}

function toResponse(
  message: IncomingMessage,
  request: ClientRequest,
  signal: AbortSignal,
  onAbort: () => void,
): UnixResponse {
  // The reader gets the error again; until then nobody may be listening.
  message.on("error", ignore("the reader gets it"));
  const dispose = () => {
    signal.removeEventListener("abort", onAbort);
    if (!message.complete) request.destroy();
    // Without this the connection would not return to the pool.
    else if (!message.readableEnded) message.resume();
  };
  async function* read(): AsyncGenerator<Uint8Array> {
    const broken = (cause?: unknown) =>
      new CicdError("io_failed", "Cannot read the answer: the connection broke", { cause });
    try {
      for await (const chunk of message) yield chunk;
      if (!message.complete) throw broken();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw error instanceof CicdError ? error : broken(error);
    } finally {
      dispose();
    }
  }
  return {
    status: message.statusCode ?? 0,
    headers: Object.fromEntries(
      Object.entries(message.headers).map(([name, value]) => [name, String(value)]),
    ),
    body: { [Symbol.asyncIterator]: read },
    async text(maxBytes = 16 * 1024 * 1024) {
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of read()) {
        size += chunk.byteLength;
        if (size > maxBytes) {
          throw new CicdError("io_failed", `Cannot read the answer: larger than ${maxBytes} bytes`);
        }
        chunks.push(chunk);
      }
      return Buffer.concat(chunks).toString("utf8");
    },
    [Symbol.dispose]: dispose,
  };
}

function connectionError(error: Error, socketPath: string): Error {
  const code = "code" in error ? error.code : undefined;
  if (code === "ENOENT") return new Deno.errors.NotFound(`No socket "${socketPath}"`);
  if (code === "ECONNREFUSED") {
    return new Deno.errors.ConnectionRefused(`Nobody listens on "${socketPath}"`);
  }
  const message = `Cannot talk to "${socketPath}": the connection broke`;
  return new CicdError("io_failed", message, { cause: error });
}
