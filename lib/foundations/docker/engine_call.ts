/**
 * Calls of the container engine: their deadline and the errors they end with.
 *
 * @module
 */
import { Readable } from "node:stream";
import { withDeadline } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import { hasStatus, toEngineError } from "@lib/foundations/docker/engine_error.ts";

/** Deadline of a call that does not wait for a job; an engine on a busy disk needs seconds. */
const CALL_MS = 60_000;

/**
 * Calls the engine, with a deadline.
 *
 * @param what Continues `Cannot` in the error: `list images`.
 * @throws {EngineError} If the engine did not answer, or refused.
 * @throws The signal's reason when it aborts.
 */
export async function callEngine<T>(
  what: string,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using deadline = withDeadline(signal, CALL_MS, "the container engine");
  return await guardCall(what, signal, () => call(deadline), deadline);
}

/** As {@linkcode callEngine}; `undefined` if the engine refuses with one of these statuses. */
export async function callUnless<T>(
  statuses: readonly number[],
  what: string,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await callEngine(what, signal, call);
  } catch (error) {
    if (hasStatus(error, ...statuses)) return undefined;
    throw error;
  }
}

/** As {@linkcode callEngine} without a deadline of its own: for waits and transfers. */
export async function guardCall<T>(
  what: string,
  signal: AbortSignal,
  call: () => Promise<T>,
  deadline: AbortSignal = signal,
): Promise<T> {
  signal.throwIfAborted();
  try {
    return await call();
  } catch (error) {
    signal.throwIfAborted();
    throw toEngineError(deadline.aborted ? deadline.reason : error, what);
  }
}

/** Reads an answer that the client returns as a stream; applies back pressure. */
export async function* readStream(
  what: string,
  stream: NodeJS.ReadableStream,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (!(stream instanceof Readable)) throw new TypeError("The client returned no Node stream");
  // The reader gets it again; between two reads nobody may be listening.
  stream.on("error", ignore("the reader gets it"));
  try {
    yield* stream;
  } catch (error) {
    signal.throwIfAborted();
    throw toEngineError(error, what);
  } finally {
    stream.destroy();
  }
}
