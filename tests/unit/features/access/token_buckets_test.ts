import assert from "node:assert/strict";
import { TokenBuckets } from "@lib/features/access/token_buckets.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

function setup({ perMinute = 60, maxNames = 10 } = {}) {
  const clock = new FakeClock();
  const rate = { perMinute };
  const buckets = new TokenBuckets({ clock, perMinute: () => rate.perMinute, maxNames });
  return { clock, rate, buckets };
}

Deno.test("TokenBuckets gives a full bucket at once, then as much as time brings", async () => {
  const { clock, buckets } = setup({ perMinute: 3 });
  for (let n = 0; n < 3; n++) assert.equal(buckets.take("a").kind, "taken");
  assert.deepEqual(buckets.take("a"), { kind: "empty", retryAfterMs: 20_000 });
  await clock.tick(19_999);
  assert.deepEqual(buckets.take("a"), { kind: "empty", retryAfterMs: 1 });
  await clock.tick(1);
  assert.equal(buckets.take("a").kind, "taken");
  assert.equal(buckets.take("a").kind, "empty");
});

Deno.test("TokenBuckets keeps names apart", () => {
  const { buckets } = setup({ perMinute: 1 });
  assert.equal(buckets.take("a").kind, "taken");
  assert.equal(buckets.take("a").kind, "empty");
  assert.equal(buckets.take("b").kind, "taken");
});

Deno.test("TokenBuckets never holds more than a minute's worth", async () => {
  const { clock, buckets } = setup({ perMinute: 2 });
  buckets.take("a");
  await clock.tick(3_600_000);
  const kinds = [1, 2, 3].map(() => buckets.take("a").kind);
  assert.deepEqual(kinds, ["taken", "taken", "empty"]);
});

Deno.test("TokenBuckets follows a rate that is changed while it runs", () => {
  const { rate, buckets } = setup({ perMinute: 100 });
  buckets.take("a");
  rate.perMinute = 1;
  assert.equal(buckets.take("a").kind, "taken");
  assert.equal(buckets.take("a").kind, "empty");
});

Deno.test("TokenBuckets remembers a bounded number of names, the latest ones", () => {
  const { buckets } = setup({ perMinute: 1, maxNames: 3 });
  for (const name of ["a", "b", "c", "a", "d"]) buckets.take(name);
  assert.equal(buckets.size, 3);
  assert.equal(buckets.take("a").kind, "empty");
  assert.equal(buckets.take("b").kind, "taken");
});
