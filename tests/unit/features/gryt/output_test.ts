import assert from "node:assert/strict";
import * as fc from "fast-check";
import { collectOutput } from "@lib/features/gryt/output.ts";

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) {
    yield await Promise.resolve(bytes.subarray(at, at + size));
  }
}

function collect(text: string, maxBytes: number, { size = 7, tailBytes = 10 } = {}) {
  return collectOutput(chunksOf(new TextEncoder().encode(text), size), { maxBytes, tailBytes });
}

Deno.test("collectOutput() gives output within its bound whole", async () => {
  assert.deepEqual(await collect("0123456789abc", 13, { tailBytes: 20 }), {
    text: "0123456789abc",
    tail: "0123456789abc",
    tailIsWhole: true,
  });
  assert.equal((await collect("", 5)).text, "");
});

Deno.test("collectOutput() leaves out the middle and says how much", async () => {
  const { text, tail, tailIsWhole } = await collect("aaaaa-the-middle-zzzzz", 10);
  assert.equal(text, "aaaaa\n[12 bytes left out]\nzzzzz");
  assert.equal(tail, "ddle-zzzzz");
  assert.equal(tailIsWhole, false);
});

Deno.test("collectOutput() cuts between characters", async () => {
  const { text } = await collect("äöü€".repeat(20), 11);
  assert.doesNotMatch(text, /\uFFFD/);
});

Deno.test("collectOutput() keeps the tail that was asked for, however it comes", async () => {
  await fc.assert(fc.asyncProperty(
    fc.string({ maxLength: 200 }),
    fc.integer({ min: 1, max: 64 }),
    fc.integer({ min: 2, max: 64 }),
    async (text, size, maxBytes) => {
      const ascii = text.replace(/[^ -~]/g, "x");
      const collected = await collect(ascii, maxBytes, { size, tailBytes: 16 });
      assert.equal(collected.tail, ascii.slice(-16));
      if (ascii.length <= maxBytes) assert.equal(collected.text, ascii);
      else assert(collected.text.endsWith(ascii.slice(-Math.floor(maxBytes / 2))));
    },
  ));
});

Deno.test("collectOutput() keeps the results of steps that printed much, however they are cut", async () => {
  const printed = 'a "word" \\ ü\u0001\n'.repeat(1_000_000);
  const results = { results: { r: { build: { status: "success", stdout: printed, n: 1 } } } };
  const bytes = new TextEncoder().encode(
    `{x "y\n"${"z".repeat(5_000)}"\n${JSON.stringify(results)}\n`,
  );
  for (const size of [65_536, 1_000_003]) {
    const chunks = async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      await Promise.resolve();
    };
    const { tail, tailIsWhole } = await collectOutput(chunks(), { maxBytes: 10, tailBytes: 9_000 });
    assert.ok(tailIsWhole);
    const { build } = JSON.parse(tail.trimEnd().split("\n").at(-1) ?? "").results.r;
    assert.equal(build.n, 1);
    assert.ok(printed.startsWith(build.stdout.slice(0, -1)) && build.stdout.length > 500);
  }
});
