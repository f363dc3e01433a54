/**
 * Whether an engine answers, without loading its client.
 *
 * @module
 */
import { request as httpRequest } from "node:http";
import { CicdError } from "@lib/core/errors.ts";
import { toEngineError } from "@lib/foundations/docker/engine_error.ts";
import { type EngineAddress, formatEngineAddress } from "@lib/foundations/docker/find_engine.ts";

/** What an engine says of itself in a header. */
export interface PingAnswer {
  readonly podman: boolean;
}

/** Options for {@linkcode pingEngine}. */
export interface PingOptions {
  /** @default {1000} */
  readonly deadlineMs?: number;
  readonly signal: AbortSignal;
}

/**
 * Asks an engine for a sign of life; a millisecond where it is well.
 *
 * An engine behind TLS is only asked whether it takes connections.
 *
 * @throws {CicdError} `engine_unavailable` if it does not answer in time.
 */
export async function pingEngine(
  address: EngineAddress,
  { deadlineMs = 1_000, signal }: PingOptions,
): Promise<PingAnswer> {
  signal.throwIfAborted();
  try {
    return address.kind === "tcp" && address.tlsDirectory !== undefined
      ? await connects(address, deadlineMs)
      : await asks(address, deadlineMs, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw toEngineError(error, `reach the container engine at ${formatEngineAddress(address)}`);
  }
}

function asks(
  address: EngineAddress,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<PingAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<PingAnswer>();
  const request = httpRequest({
    ...(address.kind === "unix"
      ? { socketPath: address.path }
      : { host: address.host, port: address.port }),
    path: "/_ping",
    headers: { host: "localhost", connection: "close" },
    agent: false,
    signal,
  });
  // Not the socket's own timeout, which starts anew with each byte.
  const timer = setTimeout(() => request.destroy(tooLate(deadlineMs)), deadlineMs);
  request.once("response", (answer) => {
    answer.resume();
    answer.once("error", reject);
    answer.once("end", () => {
      if (answer.statusCode === 200) {
        return resolve({ podman: answer.headers["libpod-api-version"] !== undefined });
      }
      reject(new CicdError("engine_unavailable", `its answer was ${answer.statusCode}`));
    });
  });
  request.once("error", reject);
  request.end();
  return promise.finally(() => clearTimeout(timer));
}

async function connects(
  { host, port }: EngineAddress & { readonly kind: "tcp" },
  deadlineMs: number,
): Promise<PingAnswer> {
  const { connect } = await import("node:net");
  const { promise, resolve, reject } = Promise.withResolvers<PingAnswer>();
  const socket = connect({ host, port }, () => resolve({ podman: false }));
  socket.once("error", reject);
  const timer = setTimeout(() => reject(tooLate(deadlineMs)), deadlineMs);
  return await promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}

function tooLate(deadlineMs: number): Error {
  return new Error(`no answer in ${deadlineMs} ms`);
}
