import assert from "node:assert/strict";
import { protectUsing } from "../../../tools/build/using_declarations.ts";

Deno.test("protectUsing() adds a variable to each declaration, whatever its value looks like", () => {
  const source = [
    "using a = f(`;\n`, ';');",
    "async function g() { await using b = { c: () => { using d = h(); return d.e(); } }; b.c(); }",
  ].join("\n");
  assert.equal(
    protectUsing(source),
    [
      "using a = f(`;\n`, ';'), usingEnd0 = null;",
      "async function g() { await using b = { c: () => { using d = h(), usingEnd1 = null; " +
      "return d.e(); } }, usingEnd2 = null; b.c(); }",
    ].join("\n"),
  );
});

Deno.test("protectUsing() leaves everything else as it is", () => {
  for (
    const source of ["for (using a of b) a.c();", "const using = 1; // using a = b", "let a = 1;"]
  ) {
    assert.equal(protectUsing(source), source);
  }
});
