/**
 * Reading request bodies within bounds.
 *
 * @module
 */
import { CicdError, ignore } from "@lib/core/errors.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { formatSize } from "@lib/core/size.ts";

/** Bounds for {@linkcode readBody}. */
export interface BodyLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/**
 * Reads a whole body.
 *
 * @throws {CicdError} `body_too_large` as soon as it is too large, `request_timeout` if it does
 * not end in time.
 */
async function readBody(
  request: Request,
  { maxBytes, timeoutMs }: BodyLimits,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > maxBytes) throw tooLarge(maxBytes);
  if (request.body === null) return new Uint8Array();
  using deadline = withDeadline(request.signal, timeoutMs, "the body");
  const reader = request.body.getReader();
  const onAbort = () => void reader.cancel(deadline.reason).catch(ignore("the client is gone"));
  deadline.addEventListener("abort", onAbort, { once: true });
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    while (true) {
      const { done, value } = await readChunk(reader);
      if (request.signal.aborted) throw gone();
      if (deadline.aborted) throw late(timeoutMs);
      if (done) break;
      size += value.byteLength;
      if (size > maxBytes) throw tooLarge(maxBytes);
      chunks.push(value);
    }
  } finally {
    deadline.removeEventListener("abort", onAbort);
    void reader.cancel().catch(ignore("the client is gone"));
  }
  return concat(chunks, size);
}

/**
 * Reads a JSON body, whatever its declared type: `curl -d` sends a form type.
 *
 * @throws {CicdError} As {@linkcode readBody}, and `invalid_json`.
 */
export async function readJson(request: Request, limits: BodyLimits): Promise<unknown> {
  const bytes = await readBody(request, limits);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new CicdError("invalid_json", "Cannot read the body: it is not UTF-8", { cause: error });
  }
  if (text.trim() === "") {
    throw new CicdError("invalid_json", "Cannot read the body: it is empty, JSON is expected");
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new CicdError("invalid_json", `Cannot read the body as JSON: ${await describe(text)}`);
  }
}

/** The engine's own message quotes the body, which may hold secrets: only the place is told. */
async function describe(text: string): Promise<string> {
  const { findJsonError } = await import("@lib/foundations/http/json_error.ts");
  const place = await findJsonError(text);
  return place === undefined
    ? "it is no JSON"
    : `error at line ${place.line}, column ${place.column}`;
}

async function readChunk(reader: ReadableStreamDefaultReader<Uint8Array>) {
  try {
    return await reader.read();
  } catch (error) {
    throw gone(error);
  }
}

function gone(cause?: unknown): CicdError {
  return new CicdError("io_failed", "Cannot take the body: the client went away", { cause });
}

function tooLarge(maxBytes: number): CicdError {
  return new CicdError(
    "body_too_large",
    `Cannot take the body: it is larger than ${formatSize(maxBytes)} (http.max_body)`,
  );
}

function late(timeoutMs: number): CicdError {
  return new CicdError(
    "request_timeout",
    `Cannot take the body: it did not end within ${timeoutMs} ms (http.body_timeout)`,
  );
}

function concat(chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
