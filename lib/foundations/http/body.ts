/**
 * Reads request bodies within limits.
 *
 * @module
 */
import { CicdError, ignore } from "@lib/core/errors.ts";
import { turn, withDeadline } from "@lib/core/abort.ts";
import { formatSize } from "@lib/core/size.ts";

/** Limits for {@linkcode readJson}. */
export interface BodyLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/** Most values in a body; twice as many as the largest job has. */
const MAX_VALUES = 20_000;

/** Most names in a body; twice as many as the largest job has. */
const MAX_NAMES = 10_000;

/** Deepest nesting of a body. */
const MAX_DEPTH = 64;

/** Longest text in which an error is located. */
const DESCRIBED_MAX_CHARS = 1024 * 1024;

/**
 * Decodes each chunk as it arrives, so that no step takes longer for a larger body. Returns
 * `undefined` for a body without text.
 */
async function readText(
  request: Request,
  { maxBytes, timeoutMs }: BodyLimits,
): Promise<string | undefined> {
  const declared = Number(request.headers.get("content-length") ?? "0");
  if (declared > maxBytes) throw tooLarge(maxBytes);
  if (request.body === null) return undefined;
  using deadline = withDeadline(request.signal, timeoutMs, "the body");
  const reader = request.body.getReader();
  const onAbort = () => void reader.cancel(deadline.reason).catch(ignore("the client is gone"));
  deadline.addEventListener("abort", onAbort, { once: true });
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const bounds = new JsonBounds();
  let text = "";
  let size = 0;
  try {
    while (true) {
      const { done, value } = await readChunk(reader);
      if (request.signal.aborted) throw gone();
      if (deadline.aborted) throw late(timeoutMs);
      if (done) break;
      size += value.byteLength;
      if (size > maxBytes) throw tooLarge(maxBytes);
      bounds.add(value);
      text += decode(decoder, value);
    }
    text += decode(decoder);
  } finally {
    deadline.removeEventListener("abort", onAbort);
    void reader.cancel().catch(ignore("the client is gone"));
  }
  return bounds.isBlank ? undefined : text;
}

/**
 * Reads a JSON body whatever its declared type: `curl -d` sends a form type.
 *
 * @throws {CicdError} `invalid_json`; `body_too_large` as soon as it is too large, has too many
 * values or is nested too deeply; `request_timeout` if it is late.
 */
export async function readJson(request: Request, limits: BodyLimits): Promise<unknown> {
  const value = await readJsonIfAny(request, limits);
  if (value !== undefined) return value;
  throw new CicdError("invalid_json", "Cannot read the body: it is empty, JSON is expected");
}

/** As {@linkcode readJson}, but returns `undefined` for an empty body. */
export async function readJsonIfAny(request: Request, limits: BodyLimits): Promise<unknown> {
  const text = await readText(request, limits);
  if (text === undefined) return undefined;
  await turn();
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new CicdError("invalid_json", `Cannot read the body as JSON: ${await describe(text)}`);
  } finally {
    await turn();
  }
}

/** Returns only the place of the error: the engine's message quotes the body and its secrets. */
async function describe(text: string): Promise<string> {
  if (text.length > DESCRIBED_MAX_CHARS) return "it is not JSON";
  const { findJsonError } = await import("@lib/foundations/http/json_error.ts");
  const place = await findJsonError(text);
  return place === undefined
    ? "it is not JSON"
    : `error at line ${place.line}, column ${place.column}`;
}

function decode(decoder: TextDecoder, chunk?: Uint8Array): string {
  try {
    return decoder.decode(chunk, { stream: chunk !== undefined });
  } catch (error) {
    throw new CicdError("invalid_json", "Cannot read the body: it is not UTF-8", { cause: error });
  }
}

/**
 * Counts the values of a JSON text before it is parsed: 12 MiB of empty objects would keep the
 * engine busy for seconds.
 */
class JsonBounds {
  isBlank = true;
  #inText = false;
  #escaped = false;
  #depth = 0;
  #values = 0;
  #names = 0;

  /** @throws {CicdError} `body_too_large` */
  add(chunk: Uint8Array): void {
    for (const byte of chunk) {
      if (this.#inText) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === CODE.backslash) this.#escaped = true;
        else if (byte === CODE.quote) this.#inText = false;
        continue;
      }
      if (byte <= CODE.space) continue;
      this.isBlank = false;
      switch (byte) {
        case CODE.quote:
          this.#inText = true;
          break;
        case CODE.comma:
          this.#values++;
          break;
        case CODE.colon:
          this.#names++;
          break;
        case CODE.openList:
        case CODE.openObject:
          this.#values++;
          this.#depth++;
          break;
        case CODE.closeList:
        case CODE.closeObject:
          this.#depth--;
      }
      if (this.#values > MAX_VALUES) throw exceeded(`has more than ${MAX_VALUES} values`);
      if (this.#names > MAX_NAMES) throw exceeded(`has more than ${MAX_NAMES} names`);
      if (this.#depth > MAX_DEPTH) throw exceeded(`is nested more than ${MAX_DEPTH} levels deep`);
    }
  }
}

const CODE = {
  space: 0x20,
  quote: 0x22,
  comma: 0x2c,
  colon: 0x3a,
  openList: 0x5b,
  backslash: 0x5c,
  closeList: 0x5d,
  openObject: 0x7b,
  closeObject: 0x7d,
} as const;

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

function exceeded(what: string): CicdError {
  return new CicdError("body_too_large", `Cannot read the body: it ${what}`);
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
