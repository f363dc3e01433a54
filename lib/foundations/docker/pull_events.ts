/**
 * Reads the progress of a pull: one JSON object per line.
 *
 * @module
 */
import * as v from "valibot";
import { type PullEvent, pullEvent } from "@lib/foundations/docker/engine_types.ts";

/** A longer line is none of an engine's; it is skipped. */
const LINE_MAX_CHARS = 64 * 1024;

/** Reads the events of a pull; what is none is skipped. */
export async function* readPullEvents(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<PullEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of source) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_MAX_CHARS) rest = "";
    for (const line of lines) yield* parseEvent(line);
  }
  yield* parseEvent(rest);
}

function* parseEvent(line: string): Generator<PullEvent> {
  if (line.trim() === "") return;
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return;
    throw error;
  }
  const { success, output } = v.safeParse(pullEvent, value);
  if (success) yield output;
}
