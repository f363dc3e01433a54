import assert from "node:assert/strict";
import * as fc from "fast-check";
import { planCacheEviction } from "@lib/features/caches/cache_store.ts";

const entry = fc.record({ bytes: fc.nat(1_000), lastUsedAt: fc.nat(1_000) });

Deno.test("planCacheEviction() removes what was not used for too long", () => {
  const entries = [{ bytes: 1, lastUsedAt: 10 }, { bytes: 1, lastUsedAt: 60 }];
  const gone = planCacheEviction(entries, { maxBytes: 100, maxAgeMs: 50, now: 100 });
  assert.deepEqual(gone, [{ bytes: 1, lastUsedAt: 10 }]);
});

Deno.test("planCacheEviction() leaves no more than fits, and nothing older than what it removes", () => {
  fc.assert(
    fc.property(fc.array(entry), fc.nat(3_000), (entries, maxBytes) => {
      const gone = planCacheEviction(entries, { maxBytes, maxAgeMs: 10_000, now: 1_000 });
      const kept = entries.filter((one) => !gone.includes(one));
      assert(kept.reduce((sum, { bytes }) => sum + bytes, 0) <= maxBytes);
      const oldestKept = Math.min(...kept.map(({ lastUsedAt }) => lastUsedAt));
      assert(gone.every(({ lastUsedAt }) => lastUsedAt <= oldestKept));
    }),
  );
});

Deno.test("planCacheEviction() removes nothing while all fits", () => {
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      const limits = { maxBytes: 1_000 * entries.length, maxAgeMs: 1_000, now: 1_000 };
      assert.deepEqual(planCacheEviction(entries, limits), []);
    }),
  );
});
