/**
 * One request to the engine over a connection of its own, in HTTP/1.0.
 *
 * Over HTTP/1.1 an engine sends each line of output as a chunk, which costs the client several
 * times the line. HTTP/1.0 has no chunks: bytes arrive as they fit into the socket and pass through
 * one small buffer. An engine that dies within an answer is noticed. Over the socket of the same
 * machine, a connection costs less than what a client library does for a request over a kept one.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import { EngineError, oneLine } from "@lib/foundations/docker/engine_error.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";

/** Deadline of a connection. */
const CONNECT_MS = 30_000;
/** Most bytes per read of much: more than an engine's socket holds. */
const MUCH_BYTES = 128 * 1024;
/** A read of less, soon after another, means that the engine writes record by record. */
const SMALL_READ_BYTES = 16 * 1024;
const SOON_MS = 2;
/** Time in which the records of a fast writer gather in the socket, which holds more. */
const GATHER_MS = 1;
/** Longest answer of a call. */
const ANSWER_MAX_CHARS = 16 * 1024 * 1024;
/** Longest header of an answer, and most bytes per read of others. */
const HEADER_MAX_BYTES = 16 * 1024;
/** Most bytes read of a refusal. */
const REFUSAL_MAX_BYTES = 64 * 1024;

/** A request to the engine. */
export interface RawRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** With the query. */
  readonly target: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Set: much may come in small parts, which gather before each read. */
  readonly much?: boolean;
  /** Continues `Cannot` in errors. */
  readonly what: string;
  readonly signal: AbortSignal;
}

/**
 * Sends a request and reads the answer, with back pressure.
 *
 * A broken connection looks like the end.
 *
 * @returns Chunks, each valid until the next.
 * @throws {EngineError} With the status of a refusal, or `engine_unavailable`.
 */
export async function* readAnswer(
  address: EngineAddress,
  { method, target, body, much = false, what, signal }: RawRequest,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const connection = await connectInTime(address, what, signal);
  let closed = false;
  // Ends a pending read; a connection must not be closed twice.
  const onAbort = () => {
    closed = true;
    connection.close();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    // It may have aborted while connecting.
    if (signal.aborted) onAbort();
    signal.throwIfAborted();
    await writeAll(connection, formatRequest(method, target, body));
    const buffer = new Uint8Array(much ? MUCH_BYTES : HEADER_MAX_BYTES);
    const { status, rest, length } = await readHeader(connection, buffer, what);
    if (status < 200 || status >= 300) {
      const said = await readRefusal(connection, rest, length);
      throw new EngineError("executor_failed", `Cannot ${what}: ${oneLine(said)}`, { status });
    }
    if (rest.length > 0) yield rest;
    let left = length - rest.length;
    let readAt = -Infinity;
    // An engine may keep the connection open after an answer whose length it has said.
    while (left > 0) {
      const count = await connection.read(buffer);
      if (count === null) break;
      left -= count;
      yield buffer.subarray(0, count);
      const before = readAt;
      readAt = performance.now();
      if (much && count < SMALL_READ_BYTES && readAt - before < SOON_MS) await gather();
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (!closed) connection.close();
  }
}

/**
 * Sends a request and reads its whole answer, which is JSON or empty.
 *
 * @returns The parsed answer; `undefined` if it is empty.
 * @throws {EngineError} As {@linkcode readAnswer}; also `engine_unavailable` if the answer is cut off.
 */
export async function callRaw(address: EngineAddress, request: RawRequest): Promise<unknown> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of readAnswer(address, request)) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > ANSWER_MAX_CHARS) throw cutOff(request, "its answer is too long");
  }
  request.signal.throwIfAborted();
  try {
    return text.trim() === "" ? undefined : JSON.parse(text);
  } catch (error) {
    throw cutOff(request, "the container engine closed the connection", error);
  }
}

function cutOff({ what }: RawRequest, why: string, cause?: unknown): EngineError {
  return new EngineError("engine_unavailable", `Cannot ${what}: ${why}`, { cause });
}

/** Each read wakes the engine and this program, and all who watch the file that gets the bytes. */
function gather(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, GATHER_MS));
}

function formatRequest(method: RawRequest["method"], target: string, body: unknown): Uint8Array {
  const content = ENCODER.encode(body === undefined ? "" : JSON.stringify(body));
  const head = [
    `${method} ${target} HTTP/1.0`,
    "Host: localhost",
    ...(method === "POST" ? [`Content-Length: ${content.length}`] : []),
    ...(body === undefined ? [] : ["Content-Type: application/json"]),
    "",
    "",
  ].join("\r\n");
  // In one segment: the engine wakes up once.
  const bytes = new Uint8Array(head.length + content.length);
  ENCODER.encodeInto(head, bytes);
  bytes.set(content, head.length);
  return bytes;
}

const ENCODER = new TextEncoder();

/** A connection to the engine. */
export type Connection = Pick<Deno.Conn, "read" | "write" | "close">;

/** Connects; a stopped engine, or a network that drops packets, is waited for by the kernel only. */
export async function connectInTime(
  address: EngineAddress,
  what: string,
  signal: AbortSignal,
): Promise<Connection> {
  using deadline = withDeadline(signal, CONNECT_MS, "the container engine");
  const connecting = connect(address);
  try {
    return await raceAbort(connecting, deadline);
  } catch (error) {
    if (!deadline.aborted) throw error;
    void connecting.then((late) => late.close(), ignore("the deadline is reported"));
    signal.throwIfAborted();
    const message = `Cannot ${what}: the container engine accepts no connection`;
    throw new EngineError("engine_unavailable", message, { cause: error });
  }
}

async function connect(address: EngineAddress): Promise<Connection> {
  if (address.kind === "unix") return await Deno.connect({ transport: "unix", path: address.path });
  const { host: hostname, port, tlsDirectory } = address;
  if (tlsDirectory === undefined) return await Deno.connect({ hostname, port });
  const [ca = "", cert = "", key = ""] = await Promise.all(
    ["ca.pem", "cert.pem", "key.pem"].map((name) => Deno.readTextFile(`${tlsDirectory}/${name}`)),
  );
  return await Deno.connectTls({ hostname, port, caCerts: [ca], cert, key });
}

/** Writes all bytes. */
export async function writeAll(connection: Connection, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** An answer's header. */
interface Header {
  readonly status: number;
  /** The part of the body that came with it. */
  readonly rest: Uint8Array;
  /** Of the whole body; infinite if the end of the connection is its end. */
  readonly length: number;
}

async function readHeader(
  connection: Connection,
  buffer: Uint8Array,
  what: string,
): Promise<Header> {
  let length = 0;
  while (length < HEADER_MAX_BYTES) {
    const count = await connection.read(buffer.subarray(length));
    if (count === null) break;
    length += count;
    const text = LATIN1.decode(buffer.subarray(0, length));
    const end = text.indexOf("\r\n\r\n");
    if (end === -1) continue;
    const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(text) ?? [];
    if (status === undefined || /^transfer-encoding:/im.test(text.slice(0, end))) break;
    const rest = buffer.subarray(end + 4, length);
    return { status: Number(status), rest, length: bodyLength(status, text.slice(0, end)) };
  }
  throw new EngineError(
    "engine_unavailable",
    `Cannot ${what}: the container engine did not answer in HTTP/1.0`,
  );
}

function bodyLength(status: string, header: string): number {
  if (status === "204" || status === "304") return 0;
  const [, length] = /^content-length: *(\d{1,15}) *\r?$/im.exec(header) ?? [];
  return length === undefined ? Infinity : Number(length);
}

const LATIN1 = new TextDecoder("latin1");

async function readRefusal(
  connection: Connection,
  rest: Uint8Array,
  total: number,
): Promise<string> {
  const body = new Uint8Array(Math.min(total, REFUSAL_MAX_BYTES));
  let length = Math.min(rest.length, body.length);
  body.set(rest.subarray(0, length));
  while (length < body.length) {
    const count = await connection.read(body.subarray(length));
    if (count === null) break;
    length += count;
  }
  const text = new TextDecoder().decode(body.subarray(0, length));
  const [, message] = /"message"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text) ?? [];
  try {
    return message === undefined ? text : String(JSON.parse(message));
  } catch {
    // Not JSON after all: it is only shown.
    return text;
  }
}
