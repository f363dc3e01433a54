import assert from "node:assert/strict";
import { type LineWriterOptions, openLineWriter } from "@lib/foundations/log/line_writer.ts";

const decoder = new TextDecoder();

function setup(options: Partial<LineWriterOptions> = {}) {
  let text = "";
  const write = (bytes: Uint8Array) => {
    text += decoder.decode(bytes);
    return Promise.resolve(bytes.byteLength);
  };
  return { writer: openLineWriter({ write, ...options }), text: () => text };
}

Deno.test("openLineWriter() writes lines in order", async () => {
  const t = setup();
  t.writer.write("a");
  t.writer.write("b");
  assert.equal(t.text(), "");
  await t.writer.flush();
  t.writer.write("c");
  await t.writer[Symbol.asyncDispose]();
  assert.equal(t.text(), "a\nb\nc\n");
});

Deno.test("openLineWriter() goes on after a short write", async () => {
  let text = "";
  const writer = openLineWriter({
    write: (bytes) => {
      text += decoder.decode(bytes.subarray(0, 1));
      return Promise.resolve(1);
    },
  });
  writer.write("abc");
  await writer.flush();
  assert.equal(text, "abc\n");
});

Deno.test("openLineWriter() drops and counts what does not fit, and waits for nobody", async () => {
  const gate = Promise.withResolvers<void>();
  let text = "";
  const writer = openLineWriter({
    maxBytes: 8,
    write: async (bytes) => {
      await gate.promise;
      text += decoder.decode(bytes);
      return bytes.byteLength;
    },
  });
  for (const line of ["one", "two", "three", "four"]) writer.write(line);
  gate.resolve();
  await writer.flush();
  assert.equal(text, "one\ntwo\n(2 messages were dropped: the output is too slow)\n");
});

Deno.test("openLineWriter() gives up a stream that fails or takes nothing", async () => {
  for (const write of [() => Promise.reject(new Error("EPIPE")), () => Promise.resolve(0)]) {
    const t = setup({ write });
    t.writer.write("a");
    await t.writer.flush();
    t.writer.write("b");
    await t.writer[Symbol.asyncDispose]();
  }
});

Deno.test("openLineWriter() does not wait for ever for a stream that hangs", async () => {
  const t = setup({ write: () => new Promise(() => {}), flushMs: 0 });
  t.writer.write("a");
  await t.writer[Symbol.asyncDispose]();
});
