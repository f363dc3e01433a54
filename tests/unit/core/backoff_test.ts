import assert from "node:assert/strict";
import * as fc from "fast-check";
import { Backoff } from "@lib/core/backoff.ts";

Deno.test("Backoff doubles up to its bound and starts over after a reset", () => {
  const backoff = new Backoff({ firstMs: 100, maxMs: 500, random: () => 0 });
  assert.deepEqual([1, 2, 3, 4, 5].map(() => backoff.next()), [100, 200, 400, 500, 500]);
  backoff.reset();
  assert.equal(backoff.next(), 100);
});

Deno.test("Backoff shortens a delay by at most a quarter", () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(fc.property(random, fc.integer({ min: 1, max: 10_000 }), (value, firstMs) => {
    const delay = new Backoff({ firstMs, maxMs: 10_000, random: () => value }).next();
    assert.ok(delay > firstMs * 0.75 - 1e-6 && delay <= firstMs);
  }));
});
