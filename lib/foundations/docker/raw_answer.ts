/**
 * Calls of the engine that last as long as a job: its output and its end.
 *
 * Over HTTP/1.1 an engine sends each line of output as a chunk, which costs the client several
 * times the line. HTTP/1.0 has no chunks: bytes arrive as they fit into the socket and pass through
 * one small buffer. Also, an engine that dies within an answer is noticed, where the client of all
 * other calls would wait forever.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import { EngineError, oneLine } from "@lib/foundations/docker/engine_error.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";

/** Deadline of a connection. */
const CONNECT_MS = 30_000;
/** Most bytes per read. */
const BUFFER_BYTES = 64 * 1024;
/** Longest header of an answer. */
const HEADER_MAX_BYTES = 16 * 1024;
/** Most bytes read of a refusal. */
const REFUSAL_MAX_BYTES = 4 * 1024;
/** Most characters read of the answer to a wait. */
const END_MAX_CHARS = 4_096;

/** Options for {@linkcode readLogStream}. */
export interface ReadLogOptions {
  /** Name or id. */
  readonly container: string;
  /** Set: until the container stops; else only the present output. */
  readonly follow: boolean;
  /** Puts its time before each record. */
  readonly stamped?: boolean;
  /** Reads only this many of the last records. */
  readonly tail?: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * Reads the output of a container, in frames; applies back pressure.
 *
 * A broken connection looks like the end: call the engine afterwards to tell them apart.
 *
 * @returns Chunks, each valid until the next.
 * @throws {EngineError} With the status of a refusal, or `engine_unavailable`.
 */
export function readLogStream(
  address: EngineAddress,
  { container, follow, stamped = false, tail, signal }: ReadLogOptions,
): AsyncGenerator<Uint8Array> {
  const query = new URLSearchParams({
    follow: follow ? "1" : "0",
    stdout: "1",
    stderr: "1",
    ...(stamped ? { timestamps: "1" } : {}),
    ...(tail === undefined ? {} : { tail: String(tail) }),
  });
  return readAnswer(address, {
    method: "GET",
    target: `/containers/${encodeURIComponent(container)}/logs?${query}`,
    what: "read the output of a container",
    signal,
  });
}

/**
 * Waits until a started container has stopped.
 *
 * @throws {EngineError} With the status of a refusal, or `engine_unavailable`, also if the engine
 * dies meanwhile.
 */
export async function waitForEnd(
  address: EngineAddress,
  { container, signal }: Pick<ReadLogOptions, "container" | "signal">,
): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  const answer = readAnswer(address, {
    method: "POST",
    target: `/containers/${encodeURIComponent(container)}/wait`,
    what: "wait for a container",
    signal,
  });
  for await (const chunk of answer) {
    if (text.length < END_MAX_CHARS) text += decoder.decode(chunk, { stream: true });
  }
  if (/"StatusCode"/.test(text)) return;
  signal.throwIfAborted();
  throw new EngineError(
    "engine_unavailable",
    "Cannot wait for a container: the container engine closed the connection",
  );
}

interface RawRequest {
  readonly method: "GET" | "POST";
  /** With the query. */
  readonly target: string;
  /** Continues `Cannot` in errors. */
  readonly what: string;
  readonly signal: AbortSignal;
}

async function* readAnswer(
  address: EngineAddress,
  { method, target, what, signal }: RawRequest,
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
    await writeAll(
      connection,
      `${method} ${target} HTTP/1.0\r\nHost: localhost\r\n` +
        `${method === "POST" ? "Content-Length: 0\r\n" : ""}\r\n`,
    );
    const buffer = new Uint8Array(BUFFER_BYTES);
    const { status, rest } = await readHeader(connection, buffer, what);
    if (status !== 200) {
      const said = await readRefusal(connection, rest);
      throw new EngineError("executor_failed", `Cannot ${what}: ${oneLine(said)}`, { status });
    }
    if (rest.length > 0) yield rest;
    for (let count; (count = await connection.read(buffer)) !== null;) {
      yield buffer.subarray(0, count);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (!closed) connection.close();
  }
}

type Connection = Pick<Deno.Conn, "read" | "write" | "close">;

/** Connects; a stopped engine, or a network that drops packets, is waited for by the kernel only. */
async function connectInTime(
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

async function writeAll(connection: Connection, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** Reads an answer's header; `rest` is the part of the body that came with it. */
async function readHeader(
  connection: Connection,
  buffer: Uint8Array,
  what: string,
): Promise<{ readonly status: number; readonly rest: Uint8Array }> {
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
    return { status: Number(status), rest: buffer.subarray(end + 4, length) };
  }
  throw new EngineError(
    "engine_unavailable",
    `Cannot ${what}: the container engine did not answer in HTTP/1.0`,
  );
}

const LATIN1 = new TextDecoder("latin1");

async function readRefusal(connection: Connection, rest: Uint8Array): Promise<string> {
  const body = new Uint8Array(REFUSAL_MAX_BYTES);
  let length = Math.min(rest.length, body.length);
  body.set(rest.subarray(0, length));
  while (length < body.length) {
    const count = await connection.read(body.subarray(length));
    if (count === null) break;
    length += count;
  }
  const text = new TextDecoder().decode(body.subarray(0, length));
  return /"message"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text;
}
