/**
 * Writes a Fetch response to a `node:http` connection.
 *
 * @module
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { ignore } from "@lib/core/errors.ts";

/** Options for {@linkcode sendResponse}. */
export interface SendOptions {
  /** Whether the method was `HEAD`: the header is all that goes out. */
  readonly headOnly: boolean;
  /** Told when a body fails; the client only sees a broken connection. */
  readonly onError: (error: unknown) => void;
}

/** Types of bodies that are made at once; they get a length, streams go out as they come. */
const WHOLE = /^application\/(json|problem\+json|openmetrics-text)\b/;

/**
 * Sends a response; resolves when its last byte was handed over, or the client is gone.
 *
 * The body is read only as fast as the client takes it. One that fails half-way breaks the
 * connection: a cut body must not look like a whole one.
 */
export async function sendResponse(
  response: Response,
  outgoing: ServerResponse,
  { headOnly, onError }: SendOptions,
): Promise<void> {
  if (outgoing.destroyed) return await discard(response);
  try {
    if (response.body === null || headOnly) {
      outgoing.writeHead(response.status, [...response.headers].flat());
      outgoing.end();
      return await discard(response);
    }
    if (WHOLE.test(response.headers.get("content-type") ?? "")) {
      const bytes = new Uint8Array(await response.arrayBuffer());
      response.headers.set("content-length", String(bytes.byteLength));
      outgoing.writeHead(response.status, [...response.headers].flat());
      outgoing.end(bytes);
      return;
    }
    outgoing.writeHead(response.status, [...response.headers].flat());
    outgoing.flushHeaders();
    await pump(response.body, outgoing);
  } catch (error) {
    if (!outgoing.destroyed) onError(error);
    outgoing.destroy();
  }
}

async function pump(body: ReadableStream<Uint8Array>, outgoing: ServerResponse): Promise<void> {
  const reader = body.getReader();
  const gone = new AbortController();
  const onClose = () => {
    gone.abort();
    void reader.cancel(new DOMException("The client went away", "AbortError")).catch(
      ignore("how the producer takes the news is its own matter"),
    );
  };
  outgoing.once("close", onClose);
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (outgoing.destroyed) return;
      if (done) break;
      if (!outgoing.write(value)) await drained(outgoing, gone.signal);
    }
    outgoing.end();
  } finally {
    outgoing.removeListener("close", onClose);
  }
}

/** Waits until the client has taken what was written, or is gone. */
async function drained(outgoing: ServerResponse, gone: AbortSignal): Promise<void> {
  try {
    await once(outgoing, "drain", { signal: gone });
  } catch (error) {
    if (!gone.aborted) throw error;
  }
}

/** Tells the producer of a body that nobody reads it. */
async function discard(response: Response): Promise<void> {
  await response.body?.cancel();
}
