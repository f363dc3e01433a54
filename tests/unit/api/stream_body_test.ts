import assert from "node:assert/strict";
import { streamBody } from "@lib/api/stream_body.ts";

const never = new AbortController().signal;
const bytes = new Uint8Array([1]);

Deno.test("streamBody() produces nothing before it is asked, and no more than that", async () => {
  let produced = 0;
  const body = streamBody(never, async function* () {
    while (true) {
      produced++;
      yield await Promise.resolve(bytes);
    }
  });
  await Promise.resolve();
  assert.equal(produced, 0);
  const reader = body.getReader();
  await reader.read();
  await reader.read();
  assert.equal(produced, 2);
  await reader.cancel();
});

Deno.test("streamBody() fails with its producer, so that half is not taken for the whole", async () => {
  const body = streamBody(never, async function* () {
    yield await Promise.resolve(bytes);
    throw new Error("disk went away");
  });
  await assert.rejects(new Response(body).arrayBuffer(), /disk went away/);
});

Deno.test("streamBody() stops a waiting producer when the reader goes away", async () => {
  let reason: unknown;
  const waiting = Promise.withResolvers<void>();
  const body = streamBody(never, async function* (signal) {
    yield bytes;
    try {
      await new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        waiting.resolve();
      });
    } catch (error) {
      reason = error;
      throw error;
    }
  });
  const reader = body.getReader();
  await reader.read();
  const second = reader.read();
  await waiting.promise;
  await reader.cancel();
  assert.equal((await second).done, true);
  assert(reason instanceof DOMException);
});

Deno.test("streamBody() stops its producer when the request is aborted", async () => {
  const gone = new AbortController();
  const body = streamBody(gone.signal, async function* (signal) {
    yield bytes;
    signal.throwIfAborted();
    yield bytes;
  });
  const reader = body.getReader();
  await reader.read();
  gone.abort("a reason that is no Error");
  await assert.rejects(reader.read(), DOMException);
});
