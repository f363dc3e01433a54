/**
 * Sends requests to other machines: bounded, without redirects, and with a
 * result that separates requests that never arrived from those that may have.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { isIP } from "node:net";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { messageOf } from "@lib/core/errors.ts";

/** A request to another machine. */
export interface OutgoingRequest {
  readonly url: URL;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  /** For name resolution, connection and answer together. */
  readonly timeoutMs: number;
  /** A longer answer breaks the connection; 0: the body is not read. */
  readonly maxAnswerBytes: number;
  /** Allows addresses to connect to. @default {all} */
  readonly isAllowed?: (address: string) => boolean;
  readonly signal: AbortSignal;
}

/** The result of a request. */
export type OutgoingResult =
  | {
    readonly kind: "answered";
    readonly status: number;
    readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
    readonly body: Uint8Array<ArrayBuffer>;
  }
  /** No address of the host is allowed. */
  | { readonly kind: "forbidden"; readonly why: string }
  /** The other side received no byte of the request. */
  | { readonly kind: "unreachable"; readonly why: string }
  /** The request may have arrived; the answer did not. */
  | { readonly kind: "broken"; readonly why: string };

/** Sends a request. */
export type SendRequest = (request: OutgoingRequest) => Promise<OutgoingResult>;

/**
 * Sends a request over a connection of its own.
 *
 * Connects to the address that was checked, so a name that changes its address in between (DNS
 * rebinding) gains nothing.
 *
 * @throws The signal's reason when `signal` aborts.
 */
export const sendRequest: SendRequest = async (request) => {
  const { url, timeoutMs, signal, isAllowed } = request;
  signal.throwIfAborted();
  using deadline = withDeadline(signal, timeoutMs, `an answer of ${url.host}`);
  let address: string | undefined;
  try {
    const known = await raceAbort(addressesOf(url.hostname), deadline);
    address = known.find((one) => isAllowed?.(one) ?? true);
  } catch (error) {
    signal.throwIfAborted();
    return { kind: "unreachable", why: `its name cannot be resolved: ${messageOf(error)}` };
  }
  if (address === undefined) {
    return { kind: "forbidden", why: "it has no allowed address" };
  }
  const result = await exchange(request, address, deadline);
  signal.throwIfAborted();
  return result;
};

async function addressesOf(hostname: string): Promise<readonly string[]> {
  const literal = hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(literal) !== 0) return [literal];
  // Loaded by the first request, so that no start waits for it.
  const { lookup } = await import("node:dns/promises");
  return (await lookup(hostname, { all: true })).map(({ address }) => address);
}

async function exchange(
  { url, method, headers, body, maxAnswerBytes }: OutgoingRequest,
  address: string,
  deadline: AbortSignal,
): Promise<OutgoingResult> {
  const settled = Promise.withResolvers<OutgoingResult>();
  const isTls = url.protocol === "https:";
  const send = isTls ? (await import("node:https")).request : httpRequest;
  const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
  let connected = false;
  const fail = (error: unknown) => {
    const why = messageOf(deadline.aborted ? deadline.reason : error);
    settled.resolve({ kind: connected ? "broken" : "unreachable", why });
  };
  const outgoing: ClientRequest = send({
    host: address,
    port: url.port === "" ? (isTls ? 443 : 80) : Number(url.port),
    path: `${url.pathname}${url.search}`,
    method,
    agent: false,
    headers: {
      host: url.host,
      "user-agent": "cicd-toolkit",
      connection: "close",
      ...(body === undefined ? {} : { "content-length": String(body.length) }),
      ...headers,
    },
    ...(isTls && isIP(name) === 0 ? { servername: name } : {}),
  });
  const onAbort = () => outgoing.destroy(new Error("The request was abandoned"));
  deadline.addEventListener("abort", onAbort, { once: true });
  if (deadline.aborted) onAbort();
  outgoing.on("socket", (socket) => {
    // Before the TLS handshake, the other side has received nothing of the request.
    socket.once(isTls ? "secureConnect" : "connect", () => connected = true);
  });
  outgoing.on("error", fail);
  outgoing.on("response", (incoming: IncomingMessage) => {
    connected = true;
    void readAnswer(incoming, maxAnswerBytes).then(settled.resolve, fail).finally(() =>
      outgoing.destroy()
    );
  });
  outgoing.end(body);
  return await settled.promise.finally(() => deadline.removeEventListener("abort", onAbort));
}

async function readAnswer(incoming: IncomingMessage, maxBytes: number): Promise<OutgoingResult> {
  incoming.on("error", () => incoming.destroy());
  const status = incoming.statusCode ?? 0;
  const chunks: Buffer[] = [];
  let size = 0;
  if (maxBytes > 0) {
    for await (const chunk of incoming) {
      const bytes = Buffer.from(chunk);
      size += bytes.length;
      if (size > maxBytes) {
        return { kind: "broken", why: `its answer is longer than ${maxBytes} bytes` };
      }
      chunks.push(bytes);
    }
    if (!incoming.complete) return { kind: "broken", why: "its answer was cut off" };
  }
  return { kind: "answered", status, headers: incoming.headers, body: Buffer.concat(chunks) };
}
