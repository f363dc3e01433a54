import assert from "node:assert/strict";
import * as fc from "fast-check";
import { findJsonError } from "@lib/foundations/http/json_error.ts";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    assert(error instanceof SyntaxError);
    return false;
  }
}

const TABLE: readonly (readonly [string, number, number])[] = [
  ["", 1, 1],
  ['{\n  "a": x\n}', 2, 8],
  ['{"a": 1,}', 1, 9],
  ["[1 2]", 1, 4],
  ['{"a" 1}', 1, 6],
  ["{'a': 1}", 1, 2],
  ['{"a": 1', 1, 8],
  ['{"a": 1}}', 1, 9],
  ['"a\tb"', 1, 1],
  ["01", 1, 2],
  ["[1]\n, 2", 2, 1],
];

for (const [text, line, column] of TABLE) {
  Deno.test(`findJsonError() finds ${line}:${column} in ${JSON.stringify(text)}`, () => {
    assert.deepEqual(findJsonError(text), { line, column });
  });
}

Deno.test("findJsonError() finds nothing in any JSON, however it is laid out", () => {
  fc.assert(fc.property(fc.jsonValue(), fc.nat(4), (value, space) => {
    assert.equal(findJsonError(JSON.stringify(value, null, space)), undefined);
  }));
});

Deno.test("findJsonError() agrees with the engine on what is JSON", () => {
  const anyText = fc.array(
    fc.constantFrom("{", "}", "[", "]", ",", ":", '"a"', "1", "-", ".5", "e3", "true", " ", "\n"),
    { maxLength: 12 },
  ).map((parts) => parts.join(""));
  fc.assert(
    fc.property(anyText, (text) => assert.equal(findJsonError(text) === undefined, isJson(text))),
    { numRuns: 2_000 },
  );
});

Deno.test("findJsonError() copes with any depth", () => {
  assert.deepEqual(findJsonError("[".repeat(50_000)), { line: 1, column: 50_001 });
});
