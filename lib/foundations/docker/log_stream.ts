/**
 * What a container does as long as it lives: its output, and its end.
 *
 * @module
 */
import { EngineError } from "@lib/foundations/docker/engine_error.ts";
import type { EngineAddress } from "@lib/foundations/docker/find_engine.ts";
import { readAnswer } from "@lib/foundations/docker/raw_answer.ts";

/** Options for {@linkcode readLogStream}. */
export interface ReadLogOptions {
  /** Name or id. */
  readonly container: string;
  /** Whether to go on until the container has ended, or only to what there is now. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/**
 * Reads what a container wrote, in frames, from the beginning.
 *
 * Only as fast as the caller reads. That the connection broke looks like the end: whoever needs to
 * know asks the engine for something afterwards.
 *
 * @returns Chunks that are valid until the next one is asked for.
 * @throws {EngineError} With the status of a refusal, or `engine_unavailable`.
 */
export async function* readLogStream(
  address: EngineAddress,
  { container, follow, signal }: ReadLogOptions,
): AsyncGenerator<Uint8Array> {
  yield* readAnswer(address, {
    method: "GET",
    target: `/containers/${encodeURIComponent(container)}/logs?follow=${
      follow ? 1 : 0
    }&stdout=1&stderr=1`,
    what: "read the output of a container",
    signal,
  });
}

/** As much of the answer to a wait as is looked at. */
const END_MAX_CHARS = 4_096;

/**
 * Waits until a container that was started runs no more.
 *
 * @throws {EngineError} With the status of a refusal, or `engine_unavailable`, also if the engine
 * goes away meanwhile.
 */
export async function waitForEnd(
  address: EngineAddress,
  { container, signal }: Omit<ReadLogOptions, "follow">,
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
    "Cannot wait for a container: the container engine went away",
  );
}
