/**
 * HTTP requests over a Unix socket, for commands that live for one or two of them.
 *
 * `node:http` takes twice as long to load as the bare runtime, `fetch` half as long as that runtime
 * (and it tells no refused connection from a broken one); this client takes 2 ms. It speaks only
 * what the runner's own server sends: HTTP/1.1, a connection for each request.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { UnixRequest, UnixResponse } from "@lib/foundations/http/unix_client.ts";

const READ_BYTES = 64 * 1024;
/** Longest line of a header or of a chunk, in bytes. */
const LINE_MAX_BYTES = 64 * 1024;
const FIELDS_MAX = 200;
const TEXT_MAX_BYTES = 16 * 1024 * 1024;

/** A client of one socket. Disposing it breaks the answers that are being read. */
export class SocketClient implements Disposable {
  readonly #path: string;
  readonly #open = new Set<Disposable>();

  constructor(path: string) {
    this.#path = path;
  }

  /** Where it sends to. */
  get target() {
    return { at: { socketPath: this.#path } };
  }

  /**
   * Sends a request; resolves when the answer's header has arrived.
   *
   * @throws {Deno.errors.NotFound | Deno.errors.ConnectionRefused} If nobody listens; nothing was
   * sent.
   * @throws {CicdError} `io_failed` if the connection broke.
   */
  async send(request: UnixRequest): Promise<UnixResponse> {
    const { signal } = request;
    const bytes = encoded(request);
    const connection = await this.#connect(signal);
    const close = () => {
      signal.removeEventListener("abort", close);
      if (!this.#open.delete(own)) return;
      connection.close();
    };
    const own = { [Symbol.dispose]: close };
    this.#open.add(own);
    signal.addEventListener("abort", close, { once: true });
    try {
      // Not awaited: a server may refuse a body before it has read all of it.
      void writeAll(connection, bytes).catch(ignore("the missing answer tells"));
      const incoming = new Incoming(connection);
      const { status, headers } = await readHead(incoming);
      const hasBody = request.method !== "HEAD" && status !== 204 && status !== 304;
      const chunks = hasBody ? bodyOf(incoming, headers) : nothing();
      return toResponse({ status, headers, body: guarded(chunks, signal, close), close });
    } catch (error) {
      close();
      if (signal.aborted) throw signal.reason;
      throw this.#broken(error);
    }
  }

  [Symbol.dispose](): void {
    for (const connection of this.#open) connection[Symbol.dispose]();
  }

  async #connect(signal: AbortSignal): Promise<Deno.UnixConn> {
    signal.throwIfAborted();
    const connecting = Deno.connect({ transport: "unix", path: this.#path });
    try {
      return await raceAbort(connecting, signal);
    } catch (error) {
      if (signal.aborted) {
        void connecting.then((late) => late.close(), ignore("it was given up"));
        throw signal.reason;
      }
      if (error instanceof Deno.errors.NotFound) {
        throw new Deno.errors.NotFound(`No socket "${this.#path}"`);
      }
      if (error instanceof Deno.errors.ConnectionRefused) {
        throw new Deno.errors.ConnectionRefused(`Nobody listens on "${this.#path}"`);
      }
      throw this.#broken(error);
    }
  }

  #broken(cause: unknown): CicdError {
    if (cause instanceof CicdError) return cause;
    const message = `Cannot talk to "${this.#path}": the connection broke`;
    return new CicdError("io_failed", message, { cause });
  }
}

function encoded({ method, path, headers, body }: UnixRequest): Uint8Array {
  const encoder = new TextEncoder();
  const content = body === undefined ? new Uint8Array() : encoder.encode(body);
  const fields = {
    host: "localhost",
    connection: "close",
    ...headers,
    ...(body === undefined ? {} : { "content-length": String(content.length) }),
  };
  const lines = [
    `${method} ${path} HTTP/1.1`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
  ];
  // A line break within would be another field, or another request.
  if (lines.some((line) => /[\r\n\0]/.test(line))) {
    throw new TypeError("Cannot send a request with a line break in its header");
  }
  const head = encoder.encode(`${lines.join("\r\n")}\r\n\r\n`);
  const bytes = new Uint8Array(head.length + content.length);
  bytes.set(head);
  bytes.set(content, head.length);
  return bytes;
}

async function writeAll(connection: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) written += await connection.write(bytes.subarray(written));
}

/** The arriving bytes of a connection; nothing is read before it is wanted. */
class Incoming {
  readonly #connection: Deno.UnixConn;
  #held = new Uint8Array();

  constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
  }

  /** Takes some bytes, at most `max`; `undefined` at the end. */
  async take(max: number): Promise<Uint8Array | undefined> {
    if (this.#held.length === 0 && !await this.#fill()) return undefined;
    const bytes = this.#held.subarray(0, max);
    this.#held = this.#held.subarray(bytes.length);
    return bytes;
  }

  /** Takes a line, without its end. */
  async line(): Promise<string> {
    while (true) {
      const end = this.#held.indexOf(10);
      if (end >= 0) {
        const line = new TextDecoder().decode(this.#held.subarray(0, end));
        this.#held = this.#held.subarray(end + 1);
        return line.replace(/\r$/, "");
      }
      if (this.#held.length > LINE_MAX_BYTES) throw malformed("a line without an end");
      if (!await this.#fill()) throw cutOff();
    }
  }

  async #fill(): Promise<boolean> {
    const buffer = new Uint8Array(READ_BYTES);
    const count = await this.#connection.read(buffer);
    if (count === null) return false;
    const arrived = buffer.subarray(0, count);
    if (this.#held.length === 0) this.#held = arrived;
    else {
      const both = new Uint8Array(this.#held.length + count);
      both.set(this.#held);
      both.set(arrived, this.#held.length);
      this.#held = both;
    }
    return true;
  }
}

type Fields = Readonly<Record<string, string>>;

async function readHead(
  incoming: Incoming,
): Promise<{ readonly status: number; readonly headers: Fields }> {
  while (true) {
    const first = await incoming.line();
    const status = Number(/^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(first)?.[1]);
    if (Number.isNaN(status)) throw malformed("no status");
    const headers: Record<string, string> = {};
    for (let count = 0, line = await incoming.line(); line !== ""; line = await incoming.line()) {
      const colon = line.indexOf(":");
      if (colon <= 0 || ++count > FIELDS_MAX) throw malformed("no field of a header");
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
    }
    if (status >= 200) return { status, headers };
  }
}

async function* bodyOf(incoming: Incoming, headers: Fields): AsyncGenerator<Uint8Array> {
  const length = headers["content-length"];
  if (headers["transfer-encoding"] !== undefined) {
    if (!/(^|,\s*)chunked$/i.test(headers["transfer-encoding"])) {
      throw malformed("an encoding other than chunks");
    }
    while (true) {
      const [, size] = /^([0-9a-f]{1,8})\s*(?:;.*)?$/i.exec(await incoming.line()) ?? [];
      if (size === undefined) throw malformed("no size of a chunk");
      const count = Number.parseInt(size, 16);
      if (count === 0) break;
      yield* exactly(incoming, count);
      if (await incoming.line() !== "") throw malformed("a chunk of another size");
    }
    while (await incoming.line() !== "");
  } else if (length !== undefined) {
    if (!/^\d{1,15}$/.test(length)) throw malformed("a malformed length");
    yield* exactly(incoming, Number(length));
  } else {
    for (let bytes = await incoming.take(READ_BYTES); bytes !== undefined;) {
      yield bytes;
      bytes = await incoming.take(READ_BYTES);
    }
  }
}

async function* exactly(incoming: Incoming, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  while (left > 0) {
    const bytes = await incoming.take(left);
    if (bytes === undefined) throw cutOff();
    left -= bytes.length;
    yield bytes;
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function* guarded(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  close: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw error instanceof CicdError ? error : cutOff(error);
  } finally {
    close();
  }
}

function toResponse({ status, headers, body, close }: {
  readonly status: number;
  readonly headers: Fields;
  readonly body: AsyncGenerator<Uint8Array>;
  readonly close: () => void;
}): UnixResponse {
  return {
    status,
    headers,
    body,
    async text(maxBytes = TEXT_MAX_BYTES) {
      const decoder = new TextDecoder();
      let text = "";
      let size = 0;
      for await (const bytes of body) {
        size += bytes.length;
        if (size > maxBytes) {
          throw new CicdError("io_failed", `Cannot read the answer: larger than ${maxBytes} bytes`);
        }
        text += decoder.decode(bytes, { stream: true });
      }
      return text + decoder.decode();
    },
    [Symbol.dispose]: close,
  };
}

function cutOff(cause?: unknown): CicdError {
  return new CicdError("io_failed", "Cannot read the answer: the connection broke", { cause });
}

function malformed(what: string): CicdError {
  return new CicdError("io_failed", `Cannot read the answer: it has ${what}`);
}
