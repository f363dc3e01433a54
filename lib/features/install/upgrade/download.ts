/**
 * Downloads files of a release: bounded in size, and never waiting without an end.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { CicdError, ignore, isDiskFull, messageOf } from "@lib/core/errors.ts";
import { fromFileUrl } from "@lib/core/file_url.ts";
import { formatSize } from "@lib/core/size.ts";
import { isLoopback } from "@lib/foundations/http/listen_address.ts";

/** Time until an answer begins. */
const ANSWER_MS = 30_000;
/** Time without a byte. */
const SILENCE_MS = 60_000;
/** Time for a whole file. */
const FILE_MS = 30 * 60_000;
const MAX_REDIRECTS = 5;

/** Options of a download. */
export interface DownloadOptions {
  readonly maxBytes: number;
  /** PEM text of an authority to trust, besides the usual ones. */
  readonly authority?: string | undefined;
  /** Time until an answer begins. @default {30_000} */
  readonly answerMs?: number;
  readonly signal: AbortSignal;
}

/**
 * Downloads a small text; `undefined` if there is no such file.
 *
 * @throws {CicdError} `usage` if the address is not one, `io_failed` or `deadline_exceeded` if it
 * cannot be had.
 */
export async function downloadText(
  url: string,
  options: DownloadOptions,
): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  const isThere = await receive(url, options, (part) => {
    parts.push(part);
    return Promise.resolve();
  });
  return isThere ? await new Blob(parts.map((part) => part.slice())).text() : undefined;
}

/**
 * Downloads to a new file, whose bytes are on disk afterwards.
 *
 * @param options `onBytes` is called with the bytes so far, and with all that are announced.
 * @returns The file's SHA-256 in hex; `undefined` if there is no such file.
 * @throws {CicdError} As {@linkcode downloadText}, and `disk_full`.
 */
export async function downloadFile(
  url: string,
  path: string,
  options: DownloadOptions & {
    readonly onBytes: (bytes: number, of: number | undefined) => void;
  },
): Promise<string | undefined> {
  const hash = createHash("sha256");
  let bytes = 0;
  using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
  try {
    const isThere = await receive(url, options, async (part, size) => {
      hash.update(part);
      for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
      bytes += part.length;
      options.onBytes(bytes, size);
    });
    await file.sync();
    return isThere ? hash.digest("hex") : undefined;
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    throw new CicdError("disk_full", `Cannot download "${url}": the disk is full`, {
      cause: error,
    });
  }
}

type OnPart = (part: Uint8Array, size: number | undefined) => Promise<void>;

/** @returns `false` if there is no such file. */
async function receive(
  url: string,
  { maxBytes, authority, answerMs = ANSWER_MS, signal }: DownloadOptions,
  onPart: OnPart,
): Promise<boolean> {
  using whole = withDeadline(signal, FILE_MS, `"${url}"`);
  using client = authority === undefined
    ? undefined
    : Deno.createHttpClient({ caCerts: [authority] });
  const opened = await open(url, { client, answerMs, signal: whole });
  if (opened === undefined) return false;
  const { body, size } = opened;
  const tooLarge = () =>
    new CicdError(
      "io_failed",
      `Cannot download "${url}": it is larger than ${formatSize(maxBytes)}`,
    );
  const reader = body.getReader();
  try {
    if (size !== undefined && size > maxBytes) throw tooLarge();
    for (let bytes = 0;;) {
      const { done, value } = await read(reader, url, whole);
      if (done) {
        if (size === undefined || bytes === size) return true;
        throw new CicdError(
          "io_failed",
          `Cannot download "${url}": it ended after ${bytes} of ${size} bytes`,
        );
      }
      bytes += value.length;
      if (bytes > maxBytes) throw tooLarge();
      await onPart(value, size);
    }
  } finally {
    await reader.cancel().catch(ignore("it has ended, or failed"));
  }
}

async function read(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  url: string,
  signal: AbortSignal,
) {
  using silence = withDeadline(signal, SILENCE_MS, `more of "${url}"`);
  try {
    return await raceAbort(reader.read(), silence);
  } catch (cause) {
    if (silence.aborted) throw silence.reason;
    throw new CicdError("io_failed", `Cannot download "${url}": ${messageOf(cause)}`, { cause });
  }
}

interface Asking {
  readonly client: Deno.HttpClient | undefined;
  readonly answerMs: number;
  readonly signal: AbortSignal;
}

interface Opened {
  readonly body: ReadableStream<Uint8Array>;
  /** As announced. */
  readonly size: number | undefined;
}

async function open(
  url: string,
  asking: Asking,
): Promise<Opened | undefined> {
  let at = parsed(url);
  if (at.protocol === "file:") return await openLocal(fromFileUrl(at.href));
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const response = await ask(at, asking);
    const { status, headers, body } = response;
    const location = headers.get("location");
    if (status >= 300 && status < 400 && location !== null) {
      await body?.cancel();
      const next = URL.canParse(location, at) ? new URL(location, at) : undefined;
      // From a place that is verified to one that is not.
      if (next === undefined || !isAllowed(next) || (isSecure(at) && !isSecure(next))) {
        throw new CicdError("io_failed", `Cannot download "${url}": it leads to "${location}"`);
      }
      at = next;
      continue;
    }
    if (status === 404 || status !== 200 || body === null) {
      await body?.cancel();
      if (status === 404) return undefined;
      throw new CicdError("io_failed", `Cannot download "${url}": status ${status}`);
    }
    const length = headers.get("content-length");
    const isPlain = !headers.has("content-encoding");
    const size = isPlain && length !== null && /^\d{1,15}$/.test(length)
      ? Number(length)
      : undefined;
    return { body, size };
  }
  throw new CicdError("io_failed", `Cannot download "${url}": it leads on and on`);
}

async function ask(url: URL, { client, answerMs, signal }: Asking): Promise<Response> {
  using deadline = withDeadline(signal, answerMs, `an answer of "${url.host}"`);
  // Not the deadline's signal: it would end the body too.
  const gaveUp = new AbortController();
  const request = fetch(url, {
    redirect: "manual",
    signal: AbortSignal.any([signal, gaveUp.signal]),
    // Bytes as they are: their number is compared.
    headers: { "accept-encoding": "identity" },
    ...(client === undefined ? {} : { client }),
  });
  try {
    return await raceAbort(request, deadline);
  } catch (cause) {
    if (deadline.aborted) {
      // An open request keeps the program from its end.
      gaveUp.abort(deadline.reason);
      throw deadline.reason;
    }
    throw new CicdError("io_failed", `Cannot download "${url}": ${messageOf(cause)}`, { cause });
  }
}

async function openLocal(path: string): Promise<Opened | undefined> {
  try {
    if (!(await Deno.stat(path)).isFile) return undefined;
    const file = await Deno.open(path);
    return { body: file.readable, size: undefined };
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new CicdError("io_failed", `Cannot read "${path}": ${messageOf(cause)}`, { cause });
  }
}

function parsed(url: string): URL {
  const found = URL.canParse(url) ? new URL(url) : undefined;
  if (found !== undefined && (found.protocol === "file:" || isAllowed(found))) return found;
  throw new CicdError(
    "usage",
    `Cannot download "${url}": use https:// or file://, or http:// on loopback`,
  );
}

function isSecure({ protocol }: URL): boolean {
  return protocol === "https:";
}

function isAllowed(url: URL): boolean {
  return isSecure(url) ||
    (url.protocol === "http:" && isLoopback(url.hostname.replace(/^\[|\]$/g, "")));
}
