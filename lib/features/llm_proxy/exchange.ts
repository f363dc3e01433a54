/**
 * One request to a provider, and its answer.
 *
 * Bytes pass in both directions as they arrive, at the speed of the slower side. The end of either
 * side is the end of the other.
 *
 * @module
 */
import { type IncomingMessage, request as requestPlain, type ServerResponse } from "node:http";
import { request as requestSecure } from "node:https";
import { isIP } from "node:net";
import { raceAbort } from "@lib/core/abort.ts";
import { messageOf } from "@lib/core/errors.ts";
import { AnswerTap, type Tapped } from "@lib/features/llm_proxy/answer_tap.ts";
import { answerFields, fieldRecord, requestFields } from "@lib/features/llm_proxy/header_fields.ts";
import type { UpstreamAgents } from "@lib/features/llm_proxy/upstream_agents.ts";
import type { Target } from "@lib/features/llm_proxy/targets.ts";

/** Deadlines of an exchange, in milliseconds. */
export interface ExchangeLimits {
  /** From the request to the end of the TLS handshake. */
  readonly connectMs: number;
  /** Without a byte in either direction. */
  readonly idleMs: number;
  /** Time for a client to stop sending a body that nobody wants. */
  readonly lingerMs: number;
}

/** How an exchange ended. */
export type Exchanged =
  | {
    /** `cut`: the provider ended the answer early; `left`: the client did. */
    readonly kind: "answered" | "cut" | "left";
    readonly status: number;
    /** Of a good answer. */
    readonly tapped?: Tapped;
    readonly why?: string;
  }
  /** No answer began; `left`: as the client was gone. */
  | { readonly kind: "failed"; readonly reason: Failure; readonly why: string };

/** Why no answer began. */
export type Failure = "unreachable" | "connect_timeout" | "idle_timeout" | "left" | "stopping";

type Upstream = ReturnType<typeof requestPlain>;

/** Passes a request on, and its answer back. Never rejects; an answer that has not begun is the caller's. */
export async function exchange(
  { incoming, outgoing, target, agents }: {
    readonly incoming: IncomingMessage;
    readonly outgoing: ServerResponse;
    readonly target: Target;
    readonly agents: Pick<UpstreamAgents, "of">;
  },
  limits: ExchangeLimits & { readonly signal: AbortSignal },
): Promise<Exchanged> {
  const send = target.isSecure ? requestSecure : requestPlain;
  const upstream: Upstream = send({
    host: target.hostname,
    port: target.port,
    path: target.path,
    method: incoming.method ?? "GET",
    headers: fieldRecord(requestFields(incoming.rawHeaders, target.authority)),
    agent: agents.of(target),
    // Else the certificate would be checked against the Host field.
    ...(target.isSecure && isIP(target.hostname) === 0 ? { servername: target.hostname } : {}),
  });
  using watch = new Watch(upstream, outgoing, limits);
  const answer = Promise.withResolvers<IncomingMessage>();
  upstream.on("response", answer.resolve);
  upstream.on("error", answer.reject);
  upstream.on("close", () => answer.reject(new Error("the connection was closed")));
  const sent = sendBody(incoming, upstream, watch);
  let response: IncomingMessage;
  try {
    response = await answer.promise;
  } catch (error) {
    upstream.destroy();
    await sent;
    const reason = watch.reason ?? "unreachable";
    return { kind: "failed", reason, why: messageOf(error) };
  }
  watch.answered();
  const status = response.statusCode ?? 502;
  const outcome = await passAnswer(response, {
    incoming,
    outgoing,
    watch,
    lingerMs: limits.lingerMs,
  });
  // A whole exchange leaves its connection to the next one.
  if (outcome.kind !== "answered" || !upstream.writableFinished) upstream.destroy();
  watch.end();
  await sent;
  return { ...outcome, status };
}

/** Sends the body as the provider takes it; a body that breaks off ends the exchange. */
async function sendBody(
  incoming: IncomingMessage,
  upstream: Upstream,
  watch: Watch,
): Promise<void> {
  // The connection is kept for the answer when the body is not read to its end.
  const chunks: AsyncIterator<Uint8Array> = incoming.iterator({ destroyOnReturn: false });
  try {
    while (true) {
      const { done, value } = await raceAbort(chunks.next(), watch.over);
      watch.moved();
      if (done === true) break;
      if (!upstream.write(value)) await watch.drained(upstream);
      watch.moved();
    }
    upstream.end();
  } catch {
    // The client is gone, or the provider has answered without reading on.
    if (!watch.over.aborted) watch.leave();
  }
}

async function passAnswer(
  response: IncomingMessage,
  { incoming, outgoing, watch, lingerMs }: {
    readonly incoming: IncomingMessage;
    readonly outgoing: ServerResponse;
    readonly watch: Watch;
    readonly lingerMs: number;
  },
) {
  const status = response.statusCode ?? 502;
  const fields = answerFields(response.rawHeaders);
  outgoing.writeHead(status, response.statusMessage ?? "", fieldRecord(fields));
  outgoing.flushHeaders();
  const tap = status >= 200 && status < 300
    ? new AnswerTap({
      contentType: fields.get("content-type")?.[0] ?? "",
      contentEncoding: fields.get("content-encoding")?.join() ?? "",
    })
    : undefined;
  let why: string | undefined;
  try {
    for await (const chunk of response) {
      watch.moved();
      if (outgoing.destroyed) break;
      const isTaken = outgoing.write(chunk);
      await tap?.write(chunk);
      if (!isTaken) await watch.drained(outgoing);
      watch.moved();
    }
    if (!response.complete && !outgoing.destroyed) why = "the connection was closed";
  } catch (error) {
    why = messageOf(error);
  }
  const hasLeft = watch.reason === "left" || (why === undefined && outgoing.destroyed);
  // A part of an answer must not look like a whole one.
  if (why !== undefined || outgoing.destroyed) outgoing.destroy();
  else await endAnswer(incoming, outgoing, lingerMs);
  const tapped = await tap?.end();
  return {
    kind: hasLeft ? "left" as const : why === undefined ? "answered" as const : "cut" as const,
    ...(tapped === undefined ? {} : { tapped }),
    ...(why === undefined || hasLeft ? {} : { why: watch.reason ?? why }),
  };
}

/**
 * Ends an answer. Of a body that nobody wants, the rest is dropped for a while: a connection that is
 * closed with unread bytes is reset, and the client may lose the answer.
 */
export async function endAnswer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  lingerMs: number,
): Promise<void> {
  if (!incoming.complete) {
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(over.resolve, lingerMs);
    for (const event of ["end", "close", "error"]) incoming.once(event, () => over.resolve());
    outgoing.once("close", over.resolve);
    incoming.resume();
    await over.promise;
    clearTimeout(timer);
  }
  outgoing.end();
}

/** Ends an exchange whose client is gone, that has no progress, or whose runner stops. */
class Watch implements Disposable {
  readonly #upstream: Upstream;
  readonly #outgoing: ServerResponse;
  readonly #limits: ExchangeLimits & { readonly signal: AbortSignal };
  readonly #gone = new AbortController();
  #connect: ReturnType<typeof setTimeout> | undefined;
  #idle: ReturnType<typeof setTimeout>;
  #movedAt = performance.now();
  #isWhole = false;
  /** Aborts when nothing more is to be sent. */
  readonly over: AbortSignal = this.#gone.signal;
  reason: Failure | undefined;

  constructor(
    upstream: Upstream,
    outgoing: ServerResponse,
    limits: ExchangeLimits & { readonly signal: AbortSignal },
  ) {
    this.#upstream = upstream;
    this.#outgoing = outgoing;
    this.#limits = limits;
    this.#connect = setTimeout(() => this.#stop("connect_timeout"), limits.connectMs);
    this.#idle = setTimeout(this.#look, limits.idleMs);
    const connected = () => clearTimeout(this.#connect);
    upstream.on("socket", (socket) => {
      if (upstream.reusedSocket) connected();
      socket.once("secureConnect", connected);
      if (!("encrypted" in socket)) socket.once("connect", connected);
    });
    outgoing.on("close", this.leave);
    outgoing.on("error", this.leave);
    limits.signal.addEventListener("abort", this.#onStop);
    if (limits.signal.aborted) this.#onStop();
  }

  /** The answer has begun. */
  answered(): void {
    clearTimeout(this.#connect);
    this.moved();
  }

  /** The answer has ended: nobody waits for the rest of the body. */
  end(): void {
    this.#gone.abort();
  }

  /** A byte has moved. */
  moved(): void {
    this.#movedAt = performance.now();
  }

  /** The client is gone, unless its answer is complete. */
  leave = (): void => {
    if (!this.#outgoing.writableFinished) this.#stop("left");
  };

  /** Waits until a stream takes more, or the exchange ends. */
  async drained(stream: Upstream | ServerResponse): Promise<void> {
    const over = Promise.withResolvers<void>();
    const resolve = () => over.resolve();
    stream.once("drain", resolve);
    stream.once("close", resolve);
    this.#gone.signal.addEventListener("abort", resolve);
    if (!this.#gone.signal.aborted && !stream.destroyed) await over.promise;
    stream.off("drain", resolve);
    stream.off("close", resolve);
    this.#gone.signal.removeEventListener("abort", resolve);
  }

  [Symbol.dispose](): void {
    this.#isWhole = true;
    clearTimeout(this.#connect);
    clearTimeout(this.#idle);
    this.#outgoing.off("close", this.leave);
    this.#outgoing.off("error", this.leave);
    this.#limits.signal.removeEventListener("abort", this.#onStop);
  }

  readonly #look = (): void => {
    const left = this.#movedAt + this.#limits.idleMs - performance.now();
    if (left <= 0) this.#stop("idle_timeout");
    else this.#idle = setTimeout(this.#look, left);
  };

  readonly #onStop = (): void => this.#stop("stopping");

  #stop(reason: Failure): void {
    if (this.#isWhole) return;
    this.reason ??= reason;
    this.#gone.abort();
    this.#upstream.destroy(new Error(reason));
  }
}
