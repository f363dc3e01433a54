/**
 * Answers to what is no request for a handler: a connection too many, an upgrade that is refused,
 * bytes that are not HTTP, a request that the parser lets through and RFC 9112 forbids.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { CicdError } from "@lib/core/errors.ts";
import { problemParts } from "@lib/foundations/http/problem.ts";

/** Time for a refused client to read its answer. */
const LINGER_MS = 2_000;

/** Writes the answer and closes the connection, whether or not the client reads it. */
export function refuse(socket: Duplex, error: CicdError): void {
  const { status, headers, body } = problemParts(error);
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.on("error", () => socket.destroy());
  socket.once("close", () => clearTimeout(linger));
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
      "Connection: close",
      `Content-Length: ${new TextEncoder().encode(body).length}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      "",
      body,
    ].join("\r\n"),
    () => socket.destroy(),
  );
}

/** Options for {@linkcode refuseBroken}. */
export interface RefuseBrokenOptions {
  readonly maxHeaderBytes: number;
  /** Resolves when the whole requests before these bytes are answered. */
  readonly answered: () => Promise<void>;
}

/** Answers a connection whose bytes cannot be parsed as a request. */
export async function refuseBroken(
  error: Error,
  socket: Socket,
  { maxHeaderBytes, answered }: RefuseBrokenOptions,
): Promise<void> {
  const code = "code" in error ? error.code : undefined;
  const isGone = () => code === "ECONNRESET" || code === "EPIPE" || !socket.writable;
  if (!isGone()) await answered();
  // The client disconnected or already has an answer.
  if (isGone()) socket.destroy();
  else refuse(socket, brokenRequest(code, maxHeaderBytes));
}

/** Answers a request in the place of a handler, after the answers before it, and closes. */
export function refuseRequest(outgoing: ServerResponse, error: CicdError): void {
  const { status, headers, body } = problemParts(error);
  outgoing.writeHead(status, {
    ...headers,
    "Connection": "close",
    "Content-Length": new TextEncoder().encode(body).length,
  });
  outgoing.end(body);
}

/**
 * Returns the fault of a request that the parser accepts; `undefined` if there is none. A proxy may
 * read such a request otherwise, and take a part of it for another (RFC 9112, sections 2.3, 3.2
 * and 6.1).
 */
export function requestProblem(incoming: IncomingMessage): CicdError | undefined {
  const { httpVersion, headersDistinct } = incoming;
  const hosts = headersDistinct["host"] ?? [];
  const encodings = headersDistinct["transfer-encoding"] ?? [];
  const why = !/^1\.[01]$/.test(httpVersion)
    ? "its version is not HTTP/1.1 or HTTP/1.0"
    : hosts.length !== 1
    ? `it has ${hosts.length} Host fields; send one`
    : !isHost(hosts[0] ?? "")
    ? "its Host field is not a name or address with an optional port"
    : encodings.length > 0 && (httpVersion === "1.0" || !/^chunked$/i.test(encodings.join()))
    ? "its Transfer-Encoding is not chunked, the only one that HTTP/1.1 bodies may have here"
    : undefined;
  return why === undefined
    ? undefined
    : new CicdError("invalid_http", `Cannot read the request: ${why}`);
}

/** Returns true for `host`, `host:port` and `[ipv6]:port`. */
function isHost(text: string): boolean {
  return /^(?:[\w.~%!$&'()*+,;=-]+|\[[\da-f:.]+\])(?::\d{0,5})?$/i.test(text);
}

function brokenRequest(code: unknown, maxHeaderBytes: number): CicdError {
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return new CicdError(
        "header_too_large",
        `The header is longer than ${maxHeaderBytes} bytes (http.max_header)`,
      );
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new CicdError("request_timeout", "The header did not arrive in time");
    default:
      return new CicdError("invalid_http", "The bytes are not valid HTTP/1.1");
  }
}
