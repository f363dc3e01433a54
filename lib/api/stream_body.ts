/**
 * Response bodies that are produced only as fast as they are read.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";

/**
 * Makes a body of what `produce` yields; its signal aborts when the client disconnects, or with the
 * error that ends the answer.
 *
 * Production starts with the first read. If `produce` throws, the body and its connection fail, so
 * that half a log does not look like a whole one.
 */
export function streamBody(
  requestSignal: AbortSignal,
  produce: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  const onAbort = () => {
    const { reason } = requestSignal;
    gone.abort(
      reason instanceof CicdError
        ? reason
        : new DOMException("The client disconnected", "AbortError"),
    );
  };
  requestSignal.addEventListener("abort", onAbort, { once: true });
  if (requestSignal.aborted) onAbort();
  const chunks = produce(gone.signal)[Symbol.asyncIterator]();
  const finish = () => requestSignal.removeEventListener("abort", onAbort);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (done !== true) return controller.enqueue(value);
        finish();
        controller.close();
      } catch (error) {
        finish();
        throw error;
      }
    },
    async cancel() {
      finish();
      onAbort();
      try {
        await chunks.return?.();
      } catch (error) {
        // The abort ends the production.
        if (error !== gone.signal.reason) throw error;
      }
    },
  }, { highWaterMark: 0 });
}
