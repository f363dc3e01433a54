/**
 * S3-compatible storage on loopback that checks signatures.
 *
 * `s3rver` stores, but takes any version 4 signature; so a gate before it computes each one anew
 * from the request, with nothing of the code under test, and the hash of the body too.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash, createHmac } from "node:crypto";
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import S3rver from "s3rver";

/** Storage to write to. */
export interface S3Storage extends AsyncDisposable {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Names of the objects asked for, refused ones included. */
  readonly asked: string[];
  /** The next requests are answered with these statuses, and not passed on. */
  readonly failures: number[];
  /** The text of an object; `undefined` if there is none. */
  read(name: string): Promise<string | undefined>;
}

const ACCESS_KEY = "S3RVER";
const SECRET_KEY = "S3RVER-secret/+key";

/** Opens storage with one bucket. */
export async function openStorage(): Promise<S3Storage> {
  const directory = await Deno.makeTempDir({ prefix: "cicd-s3-" });
  const inner = new S3rver({
    port: 0,
    address: "127.0.0.1",
    silent: true,
    directory,
    configureBuckets: [{ name: "artifacts", configs: [] }],
  });
  const { port } = await inner.run();
  const asked: string[] = [];
  const failures: number[] = [];
  const gate = createServer((request, response) => {
    asked.push(decodeURIComponent((request.url ?? "").replace("/artifacts/", "")));
    const status = failures.shift();
    if (status !== undefined) return refuse(response, status, "Injected");
    void answer(request, response, port).catch((error) => refuse(response, 500, String(error)));
  });
  await new Promise<void>((resolve) => gate.listen(0, "127.0.0.1", () => resolve()));
  const endpoint = `http://127.0.0.1:${portOf(gate.address())}`;
  return {
    endpoint,
    bucket: "artifacts",
    accessKey: ACCESS_KEY,
    secretKey: SECRET_KEY,
    asked,
    failures,
    async read(name) {
      const path = name.split("/").map(encodeURIComponent).join("/");
      const response = await fetch(`http://127.0.0.1:${port}/artifacts/${path}`);
      const text = await response.text();
      return response.ok ? text : undefined;
    },
    async [Symbol.asyncDispose]() {
      gate.closeAllConnections();
      await new Promise<void>((resolve) => gate.close(() => resolve()));
      await inner.close();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  port: number,
): Promise<void> {
  const hash = createHash("sha256");
  const parts: Uint8Array[] = [];
  for await (const part of request) {
    hash.update(part);
    parts.push(part);
  }
  const problem = judge(request, hash.digest("hex"));
  if (problem !== undefined) return refuse(response, 403, problem);
  const body = Buffer.concat(parts);
  await new Promise<void>((resolve, reject) => {
    const onward = httpRequest({
      host: "127.0.0.1",
      port,
      method: request.method,
      // What it cannot check is taken off: the gate has checked it.
      path: request.url,
      headers: { "content-length": String(body.length), host: `127.0.0.1:${port}` },
    }, (inner) => {
      response.writeHead(inner.statusCode ?? 502);
      inner.pipe(response);
      inner.on("end", resolve);
    });
    onward.on("error", reject);
    onward.end(body);
  });
}

/** Says what is wrong with a request's signature (AWS Signature Version 4); nothing if it is right. */
function judge(
  { method, url = "", headers }: IncomingMessage,
  bodyHash: string,
): string | undefined {
  const authorization =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
      .exec(headers.authorization ?? "");
  if (authorization === null) return "AccessDenied";
  const [, accessKey, date = "", region = "", names = "", signature] = authorization;
  if (accessKey !== ACCESS_KEY) return "InvalidAccessKeyId";
  const signed = names.split(";");
  for (const needed of ["host", "x-amz-content-sha256", "x-amz-date"]) {
    if (!signed.includes(needed)) return "AuthorizationHeaderMalformed";
  }
  if (headers["x-amz-content-sha256"] !== bodyHash) return "XAmzContentSHA256Mismatch";
  const time = String(headers["x-amz-date"]);
  const canonical = [
    method,
    url.split("/").map((part) => strictly(decodeURIComponent(part))).join("/"),
    "",
    ...signed.map((name) => `${name}:${String(headers[name]).trim()}`),
    "",
    names,
    bodyHash,
  ].join("\n");
  const scope = `${date}/${region}/s3/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", time, scope, sha256(canonical)].join("\n");
  let key: string | Uint8Array = `AWS4${SECRET_KEY}`;
  for (const part of [date, region, "s3", "aws4_request"]) key = hmac(key, part);
  return Buffer.from(hmac(key, text)).toString("hex") === signature
    ? undefined
    : "SignatureDoesNotMatch";
}

function strictly(text: string): string {
  return [...new TextEncoder().encode(text)].map((byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9._~-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }).join("");
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: string | Uint8Array, text: string): Uint8Array {
  return createHmac("sha256", key).update(text).digest();
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(`<Error><Code>${code}</Code><AWSAccessKeyId>${ACCESS_KEY}</AWSAccessKeyId></Error>`);
}

function portOf(address: AddressInfo | string | null): number {
  if (typeof address === "object" && address !== null) return address.port;
  throw new TypeError("The server does not listen");
}
