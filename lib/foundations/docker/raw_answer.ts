/**
 * Calls of the engine that last as long as a job: its output and its end.
 *
 * @module
 */
import { EngineError } from "@lib/foundations/docker/engine_error.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";
import { readAnswer } from "@lib/foundations/docker/raw_exchange.ts";

/** Most characters read of the answer to a wait. */
const END_MAX_CHARS = 4_096;

/** Options for {@linkcode readLogStream}. */
export interface ReadLogOptions {
  /** Name or id. */
  readonly container: string;
  /** Set: until the container stops; else only the present output. */
  readonly follow: boolean;
  /** Puts its time before each record. */
  readonly stamped?: boolean;
  /** Reads only this many of the last records. */
  readonly tail?: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * Reads the output of a container, in frames; applies back pressure.
 *
 * A broken connection looks like the end: call the engine afterwards to tell them apart.
 *
 * @returns Chunks, each valid until the next.
 * @throws {EngineError} With the status of a refusal, or `engine_unavailable`.
 */
export function readLogStream(
  address: EngineAddress,
  { container, follow, stamped = false, tail, signal }: ReadLogOptions,
): AsyncGenerator<Uint8Array> {
  const query = new URLSearchParams({
    follow: follow ? "1" : "0",
    stdout: "1",
    stderr: "1",
    ...(stamped ? { timestamps: "1" } : {}),
    ...(tail === undefined ? {} : { tail: String(tail) }),
  });
  return readAnswer(address, {
    method: "GET",
    target: `/containers/${encodeURIComponent(container)}/logs?${query}`,
    what: "read the output of a container",
    much: true,
    signal,
  });
}

/**
 * Waits until a started container has stopped.
 *
 * @throws {EngineError} With the status of a refusal, or `engine_unavailable`, also if the engine
 * dies meanwhile.
 */
export async function waitForEnd(
  address: EngineAddress,
  { container, signal }: Pick<ReadLogOptions, "container" | "signal">,
): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  const answer = readAnswer(address, {
    method: "POST",
    target: `/containers/${encodeURIComponent(container)}/wait`,
    what: "wait for a container",
    signal,
  });
  for await (const chunk of answer) {
    if (text.length < END_MAX_CHARS) text += decoder.decode(chunk, { stream: true });
  }
  if (/"StatusCode"/.test(text)) return;
  signal.throwIfAborted();
  throw new EngineError(
    "engine_unavailable",
    "Cannot wait for a container: the container engine closed the connection",
  );
}
