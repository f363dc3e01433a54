/**
 * Answers of the engine as they come, for calls that take as long as a job.
 *
 * An engine sends each line that a job prints as an HTTP chunk of its own, which costs a client of
 * HTTP/1.1 several times the line. HTTP/1.0 knows no chunks: the bytes come as they fit into the
 * socket, half a gigabyte of them through one small buffer. And an engine that dies in the middle
 * of an answer is noticed, for which the client of all other calls would wait for ever.
 *
 * @module
 */
import { EngineError, oneLine } from "@lib/foundations/docker/engine_error.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";

/** Read at once at most. */
const BUFFER_BYTES = 64 * 1024;
/** Longest header of an answer. */
const HEADER_MAX_BYTES = 16 * 1024;
/** As much of a refusal as is read. */
const REFUSAL_MAX_BYTES = 4 * 1024;

/** A question to the engine. */
export interface RawQuestion {
  readonly method: "GET" | "POST";
  /** With the query. */
  readonly target: string;
  /** What is asked, for errors: `read the output of a container`. */
  readonly what: string;
  readonly signal: AbortSignal;
}

/**
 * Asks, and reads the body of the answer, only as fast as the caller does.
 *
 * That the connection broke looks like the end: whoever needs to know asks for something
 * afterwards, or knows how the answer ends.
 *
 * @returns Chunks that are valid until the next one is asked for.
 * @throws {EngineError} With the status of a refusal, or `engine_unavailable`.
 */
export async function* readAnswer(
  address: EngineAddress,
  { method, target, what, signal }: RawQuestion,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const connection = await connect(address);
  let closed = false;
  // Ends a read that waits; what is closed here must not be closed again.
  const onAbort = () => {
    closed = true;
    connection.close();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    // It may have aborted while the connection was made.
    if (signal.aborted) onAbort();
    signal.throwIfAborted();
    await writeAll(
      connection,
      `${method} ${target} HTTP/1.0\r\nHost: localhost\r\n` +
        `${method === "POST" ? "Content-Length: 0\r\n" : ""}\r\n`,
    );
    const buffer = new Uint8Array(BUFFER_BYTES);
    const { status, rest } = await readHeader(connection, buffer, what);
    if (status !== 200) throw await refusal(connection, { status, rest, what });
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

/** Reads an answer's header; `rest` is what came of the body with it. */
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
    `Cannot ${what}: the container engine's answer is none of HTTP/1.0`,
  );
}

const LATIN1 = new TextDecoder("latin1");

async function refusal(
  connection: Connection,
  { status, rest, what }: {
    readonly status: number;
    readonly rest: Uint8Array;
    readonly what: string;
  },
): Promise<EngineError> {
  const body = new Uint8Array(REFUSAL_MAX_BYTES);
  let length = Math.min(rest.length, body.length);
  body.set(rest.subarray(0, length));
  while (length < body.length) {
    const count = await connection.read(body.subarray(length));
    if (count === null) break;
    length += count;
  }
  const text = new TextDecoder().decode(body.subarray(0, length));
  const said = /"message"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text;
  return new EngineError("executor_failed", `Cannot ${what}: ${oneLine(said)}`, { status });
}
