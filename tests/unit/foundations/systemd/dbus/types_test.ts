import assert from "node:assert/strict";
import { parseSignature, parseSingleSignature } from "@lib/foundations/systemd/dbus/types.ts";

Deno.test("parseSignature() reads nested containers", () => {
  const s = { kind: "basic", code: "s" };
  assert.deepEqual(parseSignature("sa(sv)a{sas}"), [
    s,
    { kind: "array", element: { kind: "struct", fields: [s, { kind: "variant" }] } },
    { kind: "dict", key: s, value: { kind: "array", element: s } },
  ]);
});

Deno.test("parseSignature() rejects an invalid signature", () => {
  for (const bad of ["a", "(", "()", "(s", "s)", "a{vs}", "a{s}", "a{sss}", "{ss}", "z", "é"]) {
    assert.throws(() => parseSignature(bad), SyntaxError, bad);
  }
});

Deno.test("parseSignature() refuses nesting deeper than 32 and more than 255 bytes", () => {
  assert.doesNotThrow(() => parseSignature("a".repeat(32) + "s"));
  assert.throws(() => parseSignature("a".repeat(33) + "s"), SyntaxError);
  assert.throws(() => parseSignature("(".repeat(33) + "s" + ")".repeat(33)), SyntaxError);
  assert.throws(() => parseSignature("s".repeat(256)), SyntaxError);
});

Deno.test("parseSingleSignature() wants exactly one type", () => {
  assert.throws(() => parseSingleSignature(""), SyntaxError);
  assert.throws(() => parseSingleSignature("ss"), SyntaxError);
});
