import assert from "node:assert/strict";
import * as fc from "fast-check";
import {
  newJobId,
  parseJobId,
  parseProjectName,
  PROJECT_NAME_MAX,
  projectNameProblem,
} from "@lib/core/ids.ts";

Deno.test("newJobId() gives ids that parse and sort by their making", () => {
  const ids = Array.from({ length: 500 }, newJobId);
  assert.ok(ids.every((id) => parseJobId(id) === id));
  assert.deepEqual(ids.toSorted(), ids);
  assert.equal(new Set(ids).size, ids.length);
});

Deno.test("parseJobId() refuses other texts", () => {
  const id = newJobId();
  const version4 = `${id.slice(0, 14)}4${id.slice(15)}`;
  for (const text of ["", "x", id.toUpperCase(), `${id}\n`, ` ${id}`, version4]) {
    assert.equal(parseJobId(text), undefined, JSON.stringify(text));
  }
});

Deno.test("projectNameProblem() accepts names that are safe in a path and a unit", () => {
  for (const name of ["web", "web-app", "Web.App_2", "2024", "a".repeat(PROJECT_NAME_MAX)]) {
    assert.equal(projectNameProblem(name), undefined, name);
  }
});

Deno.test("projectNameProblem() explains why it refuses other names", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /^is empty/],
    [".", /^begins with/],
    ["-x", /^begins with/],
    ["_x", /^begins with/],
    ["a..b", /^contains '\.\.'/],
    ["a/b", /^contains a character/],
    ["a b", /^contains a character/],
    ["a\n", /^contains a character/],
    ["ä", /^contains a character/],
    ["a".repeat(PROJECT_NAME_MAX + 1), /^is 57 characters long/],
  ];
  for (const [name, pattern] of cases) assert.match(projectNameProblem(name) ?? "", pattern);
});

Deno.test("parseProjectName() lets no text leave its directory", () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(..."a./\\\0-_@ ") }), (text) => {
    const name = parseProjectName(text);
    if (name === undefined) return;
    assert.equal(new URL(`file:///agents/${name}.sock`).pathname, `/agents/${name}.sock`);
  }));
});
