import assert from "node:assert/strict";
import fc from "fast-check";
import { parseStop } from "@lib/spine/executors/directory_files.ts";

Deno.test("parseStop() reads any request as it was written", () => {
  fc.assert(fc.property(
    fc.constantFrom("cancelled" as const, "superseded" as const, "timeout" as const),
    fc.string({ unit: "grapheme" }),
    (reason, by) => {
      assert.deepEqual(parseStop(JSON.stringify({ reason, by }) + "\n"), { reason, by });
    },
  ));
});

Deno.test("parseStop() treats an unreadable file as a cancel by someone unknown", () => {
  for (const text of ["", "{", "null", "[]", "7", '{"reason":"whim"}', "x".repeat(20_000)]) {
    assert.equal(parseStop(text).reason, "cancelled");
  }
  assert.deepEqual(parseStop('{"reason":"timeout","by":3}').reason, "timeout");
});
