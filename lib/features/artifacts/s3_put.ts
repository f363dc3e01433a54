/**
 * Puts one object into S3-compatible storage.
 *
 * @module
 */
import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { ignore, messageOf } from "@lib/core/errors.ts";
import type { FileReader } from "@lib/foundations/files/file_reader.ts";
import type { Secret } from "@lib/foundations/secrets/secret.ts";

/** A bucket, and the credentials to write to it. */
export interface S3Bucket {
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKey: Secret;
  readonly secretKey: Secret;
}

/** An object. */
interface S3Object {
  /** The object's name, with slashes. */
  readonly name: string;
  readonly file: FileReader;
  /** Of the file, in hex: signed, so that the storage refuses anything else. */
  readonly sha256: string;
}

/** The result of {@linkcode putObject}. */
export type PutResult =
  | { readonly kind: "stored" }
  /** A retry may help. */
  | { readonly kind: "failed"; readonly problem: string }
  /** Only another configuration helps. */
  | { readonly kind: "refused"; readonly problem: string };

/** A connection without progress for so long is closed. */
const STALL_MS = 60_000;
const ANSWER_MAX_BYTES = 16 * 1024;

/**
 * Stores an object in one request, in constant memory.
 *
 * @throws The signal's reason if it aborts.
 */
export async function putObject(
  bucket: S3Bucket,
  object: S3Object,
  signal: AbortSignal,
): Promise<PutResult> {
  const { url, headers } = await sign(bucket, object);
  const send = url.protocol === "https:" ? (await import("node:https")).request : httpRequest;
  const request = send(url, {
    method: "PUT",
    headers: { ...headers, "content-length": String(object.file.size) },
    signal,
  });
  request.setTimeout(STALL_MS, () => request.destroy(new Error("no progress for a minute")));
  request.on("error", ignore("the wait for the answer rejects too"));
  const answered = new AbortController();
  const writing = write(request, object.file, AbortSignal.any([signal, answered.signal]));
  try {
    const [response] = await Promise.all([firstAnswer(request, answered), writing]);
    return await readAnswer(response);
  } catch (error) {
    signal.throwIfAborted();
    return { kind: "failed", problem: `the connection broke: ${messageOf(error)}` };
  } finally {
    answered.abort();
    request.destroy();
    // The file must not be closed while it is read.
    await writing.catch(ignore("reported above"));
  }
}

/** The storage may answer before it has read everything; then the rest is not sent. */
async function firstAnswer(
  request: ClientRequest,
  answered: AbortController,
): Promise<IncomingMessage> {
  const [response] = await once(request, "response");
  answered.abort();
  return response;
}

async function sign(
  { endpoint, bucket, region, accessKey, secretKey }: S3Bucket,
  { name, sha256 }: S3Object,
): Promise<{ readonly url: URL; readonly headers: Readonly<Record<string, string>> }> {
  // Loaded only if storage is configured.
  const { AwsV4Signer } = await import("aws4fetch");
  const signer = new AwsV4Signer({
    method: "PUT",
    url: `${endpoint.replace(/\/+$/, "")}/${encoded(bucket)}/${
      name.split("/").map(encoded).join("/")
    }`,
    headers: { "content-type": "application/octet-stream", "x-amz-content-sha256": sha256 },
    accessKeyId: accessKey.expose(),
    secretAccessKey: secretKey.expose(),
    service: "s3",
    region,
  });
  const { url, headers } = await signer.sign();
  return { url, headers: Object.fromEntries(headers) };
}

/** Encodes by RFC 3986, as signatures need it. */
function encoded(segment: string): string {
  return encodeURIComponent(segment).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

async function write(request: ClientRequest, file: FileReader, stop: AbortSignal): Promise<void> {
  try {
    for await (const chunk of file.chunks(stop, { to: file.size })) {
      // The buffer is reused for the next chunk, and the socket holds it until it is sent.
      if (!request.write(chunk.slice())) await once(request, "drain", { signal: stop });
    }
    request.end();
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}

async function readAnswer(response: IncomingMessage): Promise<PutResult> {
  const status = response.statusCode ?? 0;
  const text = await readText(response);
  if (status >= 200 && status < 300) return { kind: "stored" };
  // Only the code of the answer: the rest may quote the request.
  const code = /<Code>([A-Za-z0-9.]{1,60})<\/Code>/.exec(text)?.[1];
  const problem = `the storage answered with ${status}${code === undefined ? "" : ` ${code}`}`;
  const isPassing = status >= 500 || status === 429 || status === 408 || code === "SlowDown";
  return { kind: isPassing ? "failed" : "refused", problem };
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const part of response) {
    if (text.length < ANSWER_MAX_BYTES) text += part;
  }
  return text;
}
