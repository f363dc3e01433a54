/**
 * Answers to what never became a request: a connection too many, an upgrade that is
 * refused, bytes that are not HTTP.
 *
 * @module
 */
import type { Socket } from "node:net";
import { STATUS_CODES } from "node:http";
import { CicdError } from "@lib/core/errors.ts";
import { problemParts } from "@lib/foundations/http/problem.ts";

/** Time for a refused client to read its answer. */
const LINGER_MS = 2_000;

/** Writes the answer and closes the connection, whether or not the client reads it. */
export function refuse(socket: Socket, error: CicdError): void {
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

/** Answers a connection whose bytes cannot be parsed as a request. */
export function refuseBroken(error: Error, socket: Socket, maxHeaderBytes: number): void {
  if (socket.destroyed) return;
  const code = "code" in error ? error.code : undefined;
  // The client disconnected or already has an answer.
  if (code === "ECONNRESET" || code === "EPIPE" || !socket.writable) {
    socket.destroy();
    return;
  }
  refuse(socket, brokenRequest(code, maxHeaderBytes));
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
