/**
 * Reads a stream of unknown length into memory of known size.
 *
 * @module
 */

import { ignore } from "@lib/core/errors.ts";

/** What was read. */
export interface BoundedOutput {
  readonly bytes: Uint8Array;
  /** Bytes that came after the bound and were dropped. */
  readonly droppedBytes: number;
}

/**
 * Reads `stream` to its end, or until `signal` aborts, and keeps its first
 * `maxBytes`. What comes after is read and dropped, so that the writer does
 * not wait for ever.
 *
 * @returns What was read so far, also when aborted; a stream that fails has ended.
 */
export async function readBounded(
  stream: ReadableStream<Uint8Array>,
  maxBytes: number,
  signal: AbortSignal,
): Promise<BoundedOutput> {
  const parts: Uint8Array[] = [];
  let kept = 0;
  let droppedBytes = 0;
  const reader = stream.getReader();
  const onAbort = () => void reader.cancel(signal.reason).catch(ignore("it is closed"));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    if (signal.aborted) onAbort();
    for (;;) {
      const { done, value } = await reader.read().catch(asEnd);
      if (done) break;
      const part = value.subarray(0, maxBytes - kept);
      if (part.byteLength > 0) parts.push(part.slice());
      kept += part.byteLength;
      droppedBytes += value.byteLength - part.byteLength;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    reader.releaseLock();
  }
  const bytes = new Uint8Array(kept);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return { bytes, droppedBytes };
}

/** A pipe that breaks has ended; what came before is what there is. */
function asEnd(): ReadableStreamReadResult<Uint8Array> {
  return { done: true };
}
