/**
 * One call of the container engine: its deadline, and how its failures are told.
 *
 * @module
 */
import { Readable } from "node:stream";
import { withDeadline } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import { hasStatus, toEngineError } from "@lib/foundations/docker/engine_error.ts";

/** How long a call may take that is no wait; an engine on a busy disk needs seconds. */
const CALL_MS = 60_000;

/**
 * Asks the engine, with a deadline.
 *
 * @param what What is asked, for the error: `list images`.
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

/** As {@linkcode callEngine}, for what may not be there: `undefined` then. */
export async function findAtEngine<T>(
  what: string,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  try {
    return await callEngine(what, signal, call);
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

/** As {@linkcode callEngine}, where refusals with these statuses mean that there is nothing to do. */
export async function callUnless(
  statuses: readonly number[],
  what: string,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  try {
    await callEngine(what, signal, call);
  } catch (error) {
    if (!hasStatus(error, ...statuses)) throw error;
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

/** The bytes of an answer that the client gives as a stream; only as fast as they are read. */
export async function* readStream(
  what: string,
  stream: NodeJS.ReadableStream,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (!(stream instanceof Readable)) throw new TypeError("The client gave no stream of Node's");
  // Told again to whoever reads; between two reads nobody may be listening.
  stream.on("error", ignore("the reader is told"));
  try {
    for await (const chunk of stream) yield chunk;
  } catch (error) {
    signal.throwIfAborted();
    throw toEngineError(error, what);
  } finally {
    stream.destroy();
  }
}
