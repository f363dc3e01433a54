/**
 * One request to a provider, and its answer.
 *
 * Bytes pass in both directions as they arrive, at the speed of the slower side. The end of either
 * side is the end of the other.
 *
 * @module
 */
import { type IncomingMessage, request as requestPlain, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import { ignore, messageOf } from "@lib/core/errors.ts";
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
  // Loaded here: it takes its time, and most runners have no proxy.
  const send = target.isSecure ? (await import("node:https")).request : requestPlain;
  const agent = await agents.of(target);
  const upstream: Upstream = send({
    host: target.hostname,
    port: target.port,
    path: target.path,
    method: incoming.method ?? "GET",
    headers: fieldRecord(requestFields(incoming.rawHeaders, target.authority)),
    agent,
    // Else the certificate would be checked against the Host field.
    ...(target.isSecure && isIP(target.hostname) === 0 ? { servername: target.hostname } : {}),
  });
  using watch = new Watch(upstream, outgoing, limits);
  using body = sendBody(incoming, upstream, watch);
  const answer = Promise.withResolvers<IncomingMessage>();
  upstream.on("response", answer.resolve);
  upstream.on("error", answer.reject);
  upstream.on("close", () => answer.reject(new Error("the connection was closed")));
  let response: IncomingMessage;
  let fields: ReturnType<typeof answerFields>;
  try {
    response = await answer.promise;
    response.on("error", ignore("who reads it is told"));
    fields = answerFields(response.rawHeaders);
    outgoing.writeHead(
      response.statusCode ?? 502,
      response.statusMessage ?? "",
      fieldRecord(fields),
    );
  } catch (error) {
    upstream.destroy();
    return { kind: "failed", reason: watch.reason ?? "unreachable", why: messageOf(error) };
  }
  watch.answered();
  const status = response.statusCode ?? 502;
  outgoing.flushHeaders();
  const tap = status >= 200 && status < 300
    ? new AnswerTap({
      contentType: fields.get("content-type")?.[0] ?? "",
      contentEncoding: fields.get("content-encoding")?.join() ?? "",
    })
    : undefined;
  const cut = await passBody(response, { outgoing, tap, watch });
  const hasLeft = watch.reason === "left" || (cut === undefined && outgoing.destroyed);
  body[Symbol.dispose]();
  // A whole exchange leaves its connection to the next one.
  if (cut !== undefined || hasLeft || !upstream.writableFinished) upstream.destroy();
  // A part of an answer must not look like a whole one.
  if (cut !== undefined || hasLeft) outgoing.destroy();
  else await endAnswer(incoming, outgoing, limits.lingerMs);
  const tapped = await tap?.end();
  return {
    kind: hasLeft ? "left" : cut === undefined ? "answered" : "cut",
    status,
    ...(tapped === undefined ? {} : { tapped }),
    ...(cut === undefined || hasLeft ? {} : { why: watch.reason ?? cut }),
  };
}

/** Sends the body as the provider takes it, until it is disposed. */
function sendBody(incoming: IncomingMessage, upstream: Upstream, watch: Watch): Disposable {
  const onData = (chunk: Uint8Array) => {
    watch.moved();
    if (!upstream.write(chunk)) incoming.pause();
  };
  const onDrain = () => {
    watch.moved();
    incoming.resume();
  };
  const onEnd = () => void upstream.end();
  upstream.on("drain", onDrain);
  incoming.on("end", onEnd);
  incoming.on("error", watch.leave);
  incoming.on("data", onData);
  return {
    [Symbol.dispose]() {
      upstream.off("drain", onDrain);
      incoming.off("end", onEnd);
      incoming.off("error", watch.leave);
      incoming.off("data", onData);
    },
  };
}

/** Passes the answer's body on, and a copy to the tap. @returns Why it is not whole, if it is not. */
async function passBody(
  response: IncomingMessage,
  { outgoing, tap, watch }: {
    readonly outgoing: ServerResponse;
    readonly tap: AnswerTap | undefined;
    readonly watch: Watch;
  },
): Promise<string | undefined> {
  try {
    for await (const chunk of response) {
      watch.moved();
      if (outgoing.destroyed) return undefined;
      const isTaken = outgoing.write(chunk);
      await tap?.write(chunk);
      if (!isTaken) await watch.drained(outgoing);
      watch.moved();
    }
    return response.complete || outgoing.destroyed ? undefined : "the connection was closed";
  } catch (error) {
    return messageOf(error);
  }
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
    if (outgoing.destroyed) this.leave();
  }

  /** The answer has begun. */
  answered(): void {
    clearTimeout(this.#connect);
    this.moved();
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
  async drained(stream: ServerResponse): Promise<void> {
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
