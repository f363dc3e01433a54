import assert from "node:assert/strict";
import { firstLine } from "@lib/core/lines.ts";

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

Deno.test("firstLine() does not wait for the end of what goes on", async () => {
  let wasCancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    start: (controller) => ["be", "gun\nand"].forEach((text) => controller.enqueue(bytes(text))),
    cancel: () => void (wasCancelled = true),
  });
  assert.equal(await firstLine(endless, { maxBytes: 100 }), "begun");
  assert(wasCancelled);
});

Deno.test("firstLine() takes a line without an end, and finds none in nothing", async () => {
  assert.equal(
    await firstLine(ReadableStream.from([bytes("exists")]), { maxBytes: 100 }),
    "exists",
  );
  assert.equal(await firstLine(ReadableStream.from([]), { maxBytes: 100 }), undefined);
});
