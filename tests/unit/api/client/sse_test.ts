import assert from "node:assert/strict";
import fc from "fast-check";
import { readServerSentEvents } from "@lib/api/client/sse.ts";
import { bytesOf } from "./_fakes.ts";

async function* source(text: string, cuts: readonly number[] = []) {
  const bytes = bytesOf(text);
  let from = 0;
  for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
    await Promise.resolve();
    yield bytes.subarray(from, Math.min(cut, bytes.length));
    from = Math.min(cut, bytes.length);
  }
}

const TEXT =
  ': following\n\nevent: job\nid: 4\ndata: {"ü":1}\n\n: alive\n\ndata: a\ndata:b\r\n\r\n';

Deno.test("readServerSentEvents() reads events, however the bytes are cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(TEXT.length), { maxLength: 9 }), async (cuts) => {
      assert.deepEqual(await Array.fromAsync(readServerSentEvents(source(TEXT, cuts))), [
        { event: "job", data: '{"ü":1}', id: "4" },
        { event: "message", data: "a\nb", id: "4" },
      ]);
    }),
  );
});

Deno.test("readServerSentEvents() drops an event that was cut off", async () => {
  const events = readServerSentEvents(source("event: job\nid: 1\ndata: x\n"));
  assert.deepEqual(await Array.fromAsync(events), []);
});
