import assert from "node:assert/strict";
import * as fc from "fast-check";
import { didYouMean, editDistance, nearest } from "@lib/core/nearest.ts";

Deno.test("nearest() finds the word that was meant", () => {
  const words = ["timeout", "grace", "log_max", "max_running"];
  assert.equal(nearest("timout", words), "timeout");
  assert.equal(nearest("garce", words), "grace");
  assert.equal(nearest("logMax", words), "log_max");
  assert.equal(nearest("MAX-RUNNING", words), "max_running");
  assert.equal(nearest("priority", words), undefined);
  assert.equal(nearest("x".repeat(10_000), words), undefined);
});

Deno.test("didYouMean() is empty if nothing is near", () => {
  assert.equal(didYouMean("gracee", ["grace"]), '; did you mean "grace"?');
  assert.equal(didYouMean("zzz", ["grace"]), "");
});

Deno.test("editDistance() is symmetric, 0 only for equals, and bounded by the longer word", () => {
  const word = fc.string({ unit: fc.constantFrom(..."abc"), maxLength: 8 });
  fc.assert(fc.property(word, word, (a, b) => {
    const distance = editDistance(a, b);
    assert.equal(distance, editDistance(b, a));
    assert.equal(distance === 0, a === b);
    assert.ok(distance <= Math.max(a.length, b.length));
  }));
});
