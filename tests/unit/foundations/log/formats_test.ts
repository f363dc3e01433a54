import assert from "node:assert/strict";
import * as fc from "fast-check";
import { makeEntry } from "@lib/foundations/log/entry.ts";
import { formatPrefixed, formatText } from "@lib/foundations/log/formats.ts";

function entryOf(message: string, fields: Readonly<Record<string, unknown>> = {}) {
  return makeEntry({ timeMs: 0, level: "info", message, fields }, (text) => text);
}

Deno.test("formatText() writes time, level, message and fields", () => {
  const entry = entryOf("Job started", { jobId: "j1", text: "two words", quote: 'a"b\\c', n: 3 });
  assert.deepEqual(formatText(entry, { colour: false }), [
    '1970-01-01T00:00:00.000Z info  Job started job_id=j1 text="two words" quote="a\\"b\\\\c" n=3',
  ]);
});

Deno.test("formatText() colours when asked", () => {
  const [line] = formatText(entryOf("x"), { colour: true });
  assert.ok(line?.endsWith("\x1b[32minfo \x1b[0m x"));
});

Deno.test("formatPrefixed() puts the priority before each line", () => {
  const entry = entryOf("bad", { error: new Error("one\ntwo") });
  const lines = formatPrefixed(entry);
  assert.ok(lines.length > 2);
  assert.ok(lines.every((line) => line.startsWith("<6>")));
});

Deno.test("formatText() and formatPrefixed() let no text forge a line or move the cursor", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
    const entry = entryOf(a, { value: b });
    for (const lines of [formatText(entry, { colour: false }), formatPrefixed(entry)]) {
      assert.equal(lines.length, 1);
      assert.doesNotMatch(lines[0] ?? "", /\p{Cc}|[\u2028\u2029\u202e]/u);
    }
  }));
});
