import assert from "node:assert/strict";
import { logWriter } from "@lib/features/jobs/commands/follow_job.ts";

Deno.test("logWriter() gives each line of JSON the offset of its text, also of split characters", async () => {
  const lines: unknown[] = [];
  const context = {
    flags: { json: true },
    out: {
      json: (value: unknown) => Promise.resolve(void lines.push(value)),
      write: () => Promise.reject(new TypeError("Only JSON is written")),
    },
  };
  const writer = logWriter(context);
  const bytes = new TextEncoder().encode("aé😀b");
  let at = 10;
  for (const end of [12, 13, 15, 16, 18].map((offset) => offset - 10)) {
    await writer.write(bytes.subarray(at - 10, end), at);
    at = end + 10;
  }
  await writer.write(new Uint8Array([0xf0, 0x9f]), 18);
  await writer.end();
  assert.deepEqual(lines, [
    { event: "log", offset: 10, text: "a" },
    { event: "log", offset: 11, text: "é" },
    { event: "log", offset: 13, text: "😀b" },
    { event: "log", offset: 18, text: "\ufffd" },
  ]);
});
