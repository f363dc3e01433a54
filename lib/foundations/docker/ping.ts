/**
 * Liveness check of an engine, without loading its client.
 *
 * @module
 */
import { request as httpRequest } from "node:http";
import { CicdError } from "@lib/core/errors.ts";
import { toEngineError } from "@lib/foundations/docker/engine_error.ts";
import { type EngineAddress, formatEngineAddress } from "@lib/foundations/docker/find_engine.ts";

interface PingAnswer {
  readonly podman: boolean;
}

const DEADLINE_MS = 1_000;

/**
 * Pings an engine; takes a millisecond where it is well.
 *
 * Of an engine behind TLS, only tests that it accepts connections.
 *
 * @throws {CicdError} `engine_unavailable` if it does not answer in time.
 */
export async function pingEngine(
  address: EngineAddress,
  { signal }: { readonly signal: AbortSignal },
): Promise<PingAnswer> {
  signal.throwIfAborted();
  try {
    return address.kind === "tcp" && address.tlsDirectory !== undefined
      ? await connectTo(address)
      : await ask(address, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw toEngineError(error, `reach the container engine at ${formatEngineAddress(address)}`);
  }
}

function ask(address: EngineAddress, signal: AbortSignal): Promise<PingAnswer> {
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
  // Not the socket's own timeout, which restarts with each byte.
  const timer = setTimeout(() => request.destroy(tooLate()), DEADLINE_MS);
  request.once("response", (answer) => {
    answer.resume();
    answer.once("error", reject);
    answer.once("end", () => {
      if (answer.statusCode === 200) {
        return resolve({ podman: answer.headers["libpod-api-version"] !== undefined });
      }
      reject(new CicdError("engine_unavailable", `it answered ${answer.statusCode}`));
    });
  });
  request.once("error", reject);
  request.end();
  return promise.finally(() => clearTimeout(timer));
}

async function connectTo(
  { host: hostname, port }: EngineAddress & { readonly kind: "tcp" },
): Promise<PingAnswer> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(tooLate()), DEADLINE_MS);
  try {
    (await Deno.connect({ hostname, port, signal: late.signal })).close();
    return { podman: false };
  } finally {
    clearTimeout(timer);
  }
}

function tooLate(): Error {
  return new Error(`no answer in ${DEADLINE_MS} ms`);
}
