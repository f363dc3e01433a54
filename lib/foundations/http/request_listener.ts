/**
 * Connects `node:http` requests to a Fetch-style handler.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { getRequestListener, RequestError } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { CicdError, ignore, messageOf } from "@lib/core/errors.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { problemResponse } from "@lib/foundations/http/problem.ts";

/** Options for {@linkcode makeRequestListener}. */
export interface RequestListenerOptions {
  /** A failure of it is answered with a 500. */
  readonly handle: (request: Request, origin: Origin) => Response | Promise<Response>;
  readonly originOf: (socket: Socket) => Origin;
  /** Receives failures that no client can be told about. */
  readonly onError: (what: string, error: unknown) => void;
}

/** Time for a client to stop sending a body that was refused. */
const LINGER_MS = 1_000;
/** Longest body that is copied to be sent with its header. */
const ONE_SEGMENT_BYTES = 64 * 1024;
/** Content types of bodies that are made at once; they get a length, others are streamed. */
const WHOLE = /^application\/(json|problem\+json|openmetrics-text)\b/;

/** Makes the listener of a server's `request` event; it resolves once the answer is written. */
export function makeRequestListener(
  { handle, originOf, onError }: RequestListenerOptions,
): (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void> {
  const failed = (error: unknown) => {
    const isBadRequest = error instanceof RequestError;
    if (!isBadRequest) onError("A request could not be answered", error);
    const response = problemResponse(
      isBadRequest
        ? new CicdError("invalid_http", `Cannot read the request: ${error.message}`)
        : new CicdError("internal", messageOf(error)),
    );
    response.headers.set("connection", "close");
    return response;
  };
  const listener = getRequestListener(
    async (request, { incoming, outgoing }) => {
      let response: Response;
      try {
        response = await handle(request, originOf(incoming.socket));
      } catch (error) {
        // The client disconnected in the meantime.
        if (request.signal.aborted) return RESPONSE_ALREADY_SENT;
        response = failed(error);
      }
      // The rest of the body is not read, so no request can follow on this connection.
      if (!incoming.complete) response.headers.set("connection", "close");
      if (!isHttp1(outgoing)) return response;
      const headOnly = request.method === "HEAD";
      await sendResponse(response, { incoming, outgoing, headOnly }, (error) => {
        onError("An answer broke off", error);
      });
      return RESPONSE_ALREADY_SENT;
    },
    { overrideGlobalObjects: false, errorHandler: failed },
  );
  return async (incoming, outgoing) => {
    try {
      await listener(incoming, outgoing);
    } catch (error) {
      onError("A request could not be answered", error);
      outgoing.destroy();
    }
  };
}

function isHttp1(outgoing: object): outgoing is ServerResponse {
  return "shouldKeepAlive" in outgoing;
}

/**
 * Sends a response; resolves when its last byte is written or the client has disconnected.
 *
 * The body is read only as fast as the client takes it. A body that fails breaks the connection:
 * a truncated body must not look complete.
 */
async function sendResponse(
  response: Response,
  { incoming, outgoing, headOnly }: {
    readonly incoming: Readable & { readonly complete: boolean };
    readonly outgoing: ServerResponse;
    readonly headOnly: boolean;
  },
  onError: (error: unknown) => void,
): Promise<void> {
  // Tells the producer of the body that it is not read.
  const discard = () => response.body?.cancel();
  if (outgoing.destroyed) return await discard();
  const isWhole = WHOLE.test(response.headers.get("content-type") ?? "");
  const writeHead = () => outgoing.writeHead(response.status, [...response.headers].flat());
  try {
    if (response.body === null || headOnly) {
      writeHead().end();
      await discard();
    } else if (isWhole) {
      const bytes = new Uint8Array(await response.arrayBuffer());
      response.headers.set("content-length", String(bytes.byteLength));
      const head = writeHead();
      if (!incoming.complete) {
        head.write(bytes);
        await discardRest(incoming, outgoing);
        outgoing.end();
      } else if (bytes.byteLength > ONE_SEGMENT_BYTES) head.end(bytes);
      // As text, one character per byte, it is sent with the header: the client wakes up once.
      else head.end(Buffer.from(bytes).toString("latin1"), "latin1");
    } else {
      writeHead().flushHeaders();
      await pump(response.body, outgoing);
    }
  } catch (error) {
    // A key or a runner that ends while an answer goes on is no failure of the server.
    const isEnded = error instanceof CicdError &&
      (error.code === "unauthorized" || error.code === "runner_stopping");
    if (!outgoing.destroyed && !isEnded) onError(error);
    outgoing.destroy();
  }
}

/**
 * Reads and drops the rest of a body that was refused, for a while.
 *
 * A connection that is closed with unread bytes is reset, and the client may lose the answer.
 */
async function discardRest(incoming: Readable, outgoing: ServerResponse): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, LINGER_MS);
  for (const event of ["end", "close", "error"]) incoming.once(event, () => over.resolve());
  outgoing.once("close", over.resolve);
  incoming.resume();
  await over.promise;
  clearTimeout(timer);
}

async function pump(body: ReadableStream<Uint8Array>, outgoing: ServerResponse): Promise<void> {
  const reader = body.getReader();
  const gone = new AbortController();
  const onClose = () => {
    gone.abort();
    void reader.cancel(new DOMException("The client disconnected", "AbortError")).catch(
      ignore("the client is gone"),
    );
  };
  outgoing.once("close", onClose);
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (outgoing.destroyed) return;
      if (done) break;
      const full = writeChunk(outgoing, value);
      if (full !== undefined) await drained(full, gone.signal);
    }
    outgoing.end();
  } finally {
    outgoing.removeListener("close", onClose);
  }
}

/**
 * Writes a chunk of the body in one piece: the response would send its length, its bytes and two line
 * ends one by one, and wake the client for each.
 *
 * @returns What is to drain first, if the client does not keep up.
 */
function writeChunk(
  outgoing: ServerResponse,
  chunk: Uint8Array,
): ServerResponse | Socket | undefined {
  const { socket } = outgoing;
  // It has none behind an unfinished response, and a client of HTTP/1.0 gets no chunks.
  if (socket === null || !outgoing.chunkedEncoding) {
    return outgoing.write(chunk) ? undefined : outgoing;
  }
  // An empty one would end the body.
  if (chunk.byteLength === 0) return undefined;
  const length = Buffer.from(`${chunk.byteLength.toString(16)}\r\n`);
  return socket.write(Buffer.concat([length, chunk, LINE_END])) ? undefined : socket;
}

const LINE_END = Buffer.from("\r\n");

/** Waits until the client has taken what was written, or has disconnected. */
async function drained(stream: ServerResponse | Socket, gone: AbortSignal): Promise<void> {
  // Not by `once`, which rejects when the socket fails: that is a client that has disconnected.
  const over = Promise.withResolvers<void>();
  const resolve = () => over.resolve();
  stream.once("drain", resolve);
  gone.addEventListener("abort", resolve);
  if (!gone.aborted) await over.promise;
  stream.removeListener("drain", resolve);
  gone.removeEventListener("abort", resolve);
}
