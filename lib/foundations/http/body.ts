/**
 * Reads request bodies within limits.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { CicdError, ignore } from "@lib/core/errors.ts";
import { withDeadline } from "@lib/core/abort.ts";
import { formatSize } from "@lib/core/size.ts";

/** Limits for {@linkcode readJson}. */
export interface BodyLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

async function readBody(
  request: Request,
  { maxBytes, timeoutMs }: BodyLimits,
): Promise<Uint8Array> {
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > maxBytes) throw tooLarge(maxBytes);
  if (request.body === null) return Buffer.alloc(0);
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
  return Buffer.concat(chunks);
}

/**
 * Reads a JSON body whatever its declared type: `curl -d` sends a form type.
 *
 * @throws {CicdError} `invalid_json`; `body_too_large` as soon as it is too large;
 * `request_timeout` if it is late.
 */
export async function readJson(request: Request, limits: BodyLimits): Promise<unknown> {
  const value = await readJsonIfAny(request, limits);
  if (value !== undefined) return value;
  throw new CicdError("invalid_json", "Cannot read the body: it is empty, JSON is expected");
}

/** As {@linkcode readJson}, but returns `undefined` for an empty body. */
export async function readJsonIfAny(request: Request, limits: BodyLimits): Promise<unknown> {
  const bytes = await readBody(request, limits);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new CicdError("invalid_json", "Cannot read the body: it is not UTF-8", { cause: error });
  }
  if (text.trim() === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new CicdError("invalid_json", `Cannot read the body as JSON: ${await describe(text)}`);
  }
}

/** Returns only the place of the error: the engine's message quotes the body and its secrets. */
async function describe(text: string): Promise<string> {
  const { findJsonError } = await import("@lib/foundations/http/json_error.ts");
  const place = await findJsonError(text);
  return place === undefined
    ? "it is not JSON"
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
  return new CicdError("io_failed", "Cannot read the body: the client disconnected", { cause });
}

function tooLarge(maxBytes: number): CicdError {
  return new CicdError(
    "body_too_large",
    `Cannot read the body: it is larger than ${formatSize(maxBytes)} (http.max_body)`,
  );
}

function late(timeoutMs: number): CicdError {
  return new CicdError(
    "request_timeout",
    `Cannot read the body: it did not arrive within ${timeoutMs} ms (http.body_timeout)`,
  );
}
