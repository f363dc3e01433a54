import assert from "node:assert/strict";
import { readPullEvents } from "@lib/foundations/docker/engine_types.ts";

async function read(...chunks: string[]): Promise<readonly unknown[]> {
  const bytes = chunks.map((chunk) => new TextEncoder().encode(chunk));
  return await Array.fromAsync(readPullEvents((async function* () {
    await Promise.resolve();
    yield* bytes;
  })()));
}

Deno.test("readPullEvents() puts lines together however they are cut", async () => {
  const text = '{"status":"Pulling","id":"1"}\r\n{"status":"Done"}\n{"error":"no"}';
  const whole = await read(text);
  assert.deepEqual(whole, [{ status: "Pulling", id: "1" }, { status: "Done" }, {
    status: "",
    error: "no",
  }]);
  assert.deepEqual(await read(...text), whole);
});

Deno.test("readPullEvents() skips what is not an event, and buffers no endless line", async () => {
  assert.deepEqual(await read("garbage\n\n", '{"status":1}\n', '{"status":"x"}\n'), [
    { status: "x" },
  ]);
  assert.deepEqual(await read("x".repeat(100_000), "x".repeat(100_000), '\n{"status":"y"}\n'), [
    { status: "y" },
  ]);
});
