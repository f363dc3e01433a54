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
  ["[1,\r\n 2,\r\n x]", 3, 2],
  ["[1, // one\n 2]", 1, 5],
  ['["a\\q"]', 1, 2],
  ["[1.]", 1, 2],
];

for (const [text, line, column] of TABLE) {
  Deno.test(`findJsonError() finds ${line}:${column} in ${JSON.stringify(text)}`, async () => {
    assert.deepEqual(await findJsonError(text), { line, column });
  });
}

Deno.test("findJsonError() finds nothing in any JSON, however it is laid out", async () => {
  await fc.assert(fc.asyncProperty(fc.jsonValue(), fc.nat(4), async (value, space) => {
    assert.equal(await findJsonError(JSON.stringify(value, null, space)), undefined);
  }));
});

Deno.test("findJsonError() agrees with the engine on what is JSON", async () => {
  const anyText = fc.array(
    fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"a"',
      "1",
      "-",
      ".5",
      "e3",
      "true",
      " ",
      "\n",
      "//",
      "/*",
      "*/",
      "\\u12",
      "\u00a0",
      "\ufeff",
    ),
    { maxLength: 12 },
  ).map((parts) => parts.join(""));
  const mutated = fc.tuple(fc.json(), fc.nat(), fc.string({ maxLength: 2 })).map(
    ([json, at, part]) => {
      const place = at % (json.length + 1);
      return json.slice(0, place) + part + json.slice(place + part.length);
    },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(anyText, mutated),
      async (text) => assert.equal(await findJsonError(text) === undefined, isJson(text), text),
    ),
    { numRuns: 2_000 },
  );
});

Deno.test("findJsonError() copes with any depth", async () => {
  assert.deepEqual(await findJsonError("[".repeat(50_000)), { line: 1, column: 50_001 });
});
