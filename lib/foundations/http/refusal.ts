/**
 * Answers to what never became a request: one connection too many, or bytes
 * that are no HTTP.
 *
 * @module
 */
import type { Socket } from "node:net";
import { STATUS_CODES } from "node:http";
import { ERROR_CODES, type ErrorCode } from "@lib/core/error_codes.ts";
import { problemText } from "@lib/foundations/http/problem.ts";

/** How long a refused client may take to read its answer. */
const LINGER_MS = 2_000;

/** A refusal. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly detail: string;
  /** Further header fields, as `Name: value`. */
  readonly headers?: readonly string[];
}

/** Writes the answer and closes the connection, whether or not the client reads it. */
export function refuse(socket: Socket, { code, detail, headers = [] }: Refusal): void {
  const { status } = ERROR_CODES[code];
  const body = problemText(code, detail);
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.on("error", () => socket.destroy());
  socket.once("close", () => clearTimeout(linger));
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
      "Connection: close",
      "Content-Type: application/problem+json",
      `Content-Length: ${new TextEncoder().encode(body).length}`,
      ...headers,
      "",
      body,
    ].join("\r\n"),
    () => socket.destroy(),
  );
}

/** Answers a connection whose bytes could not be read as a request. */
export function refuseBroken(error: Error, socket: Socket, maxHeaderBytes: number): void {
  if (socket.destroyed) return;
  const code = "code" in error ? error.code : undefined;
  // The client went away, or has been answered: there is nobody to tell.
  if (code === "ECONNRESET" || code === "EPIPE" || !socket.writable) {
    socket.destroy();
    return;
  }
  switch (code) {
    case "HPE_HEADER_OVERFLOW":
      return refuse(socket, {
        code: "header_too_large",
        detail: `The header is longer than ${maxHeaderBytes} bytes (http.max_header)`,
      });
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return refuse(socket, {
        code: "request_timeout",
        detail: "The header did not arrive in time",
      });
    default:
      return refuse(socket, { code: "invalid_http", detail: "The bytes are not valid HTTP/1.1" });
  }
}
