import assert from "node:assert/strict";
import fc from "fast-check";
import { formatEnvironmentFile } from "@lib/spine/executors/runtime_files.ts";

/** Parses `NAME="…"` lines as systemd's `parse_env_file_internal` does. */
function readBack(text: string): [string, string][] {
  const variables: [string, string][] = [];
  let at = 0;
  while (at < text.length) {
    const equals = text.indexOf("=", at);
    const name = text.slice(at, equals);
    assert.equal(text[equals + 1], '"');
    let value = "";
    for (at = equals + 2; text[at] !== '"'; at++) {
      assert(at < text.length, "the value has no end");
      if (text[at] !== "\\") {
        value += text[at];
        continue;
      }
      at++;
      const char = text[at] ?? "";
      if ('"\\`$'.includes(char)) value += char;
      else if (char !== "\n") value += `\\${char}`;
    }
    assert.equal(text[at + 1], "\n");
    at += 2;
    variables.push([name, value]);
  }
  return variables;
}

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/);
const value = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({
    unit: fc.constantFrom('"', "\\", "`", "$", "\n", "\r", "\t", "'", "#", ";", " ", "a"),
  }),
).filter((text) => !text.includes("\0"));

Deno.test("formatEnvironmentFile() is read back as it was, whatever the values hold", () => {
  fc.assert(fc.property(fc.array(fc.tuple(name, value)), (variables) => {
    assert.deepEqual(readBack(formatEnvironmentFile(variables)), variables);
  }));
});

Deno.test("formatEnvironmentFile() refuses what no environment can hold", () => {
  assert.throws(() => formatEnvironmentFile([["A B", "x"]]), RangeError);
  assert.throws(() => formatEnvironmentFile([["A\nB", "x"]]), RangeError);
  assert.throws(() => formatEnvironmentFile([["A", "x\0y"]]), RangeError);
  assert.throws(() => formatEnvironmentFile([["A", "\ud800"]]), RangeError);
});

Deno.test("formatEnvironmentFile() keeps the value out of its errors", () => {
  assert.throws(
    () => formatEnvironmentFile([["A", "hush\0hush"]]),
    (error: Error) => !error.message.includes("hush"),
  );
});
