/**
 * Response bodies that are produced only as fast as they are taken.
 *
 * @module
 */

/**
 * Makes a body of what `produce` yields; its signal aborts when the client goes away.
 */
export function streamBody(
  requestSignal: AbortSignal,
  produce: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  const onAbort = () => gone.abort(requestSignal.reason);
  requestSignal.addEventListener("abort", onAbort, { once: true });
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
        if (gone.signal.aborted) controller.close();
        else throw error;
      }
    },
    async cancel(reason) {
      finish();
      gone.abort(reason ?? new DOMException("The client went away", "AbortError"));
      await chunks.return?.();
    },
  }, { highWaterMark: 0 });
}
