import assert from "node:assert/strict";
import { formatChecksums, parseChecksums } from "../../../../tools/release/checksums.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];

Deno.test("formatChecksums() sorts by name, as the order of a directory means nothing", () => {
  const sums = new Map([["two.tar.gz", B], ["one", A]]);
  assert.equal(formatChecksums(sums), `${A}  one\n${B}  two.tar.gz\n`);
});

Deno.test("parseChecksums() reads text and binary lines, and skips comments", () => {
  const text = `# Deno 2.9.6\n${A}  one\n${B} *two\n`;
  assert.deepEqual(parseChecksums(text), new Map([["one", A], ["two", B]]));
});

for (const line of ["one", `${A} one`, `${A.slice(1)}  one`, `${A}  `, `${A.toUpperCase()}  one`]) {
  Deno.test(`parseChecksums() refuses "${line}"`, () => {
    assert.throws(() => parseChecksums(`${line}\n`), SyntaxError);
  });
}
