import assert from "node:assert/strict";
import * as fc from "fast-check";
import { Backoff, retry } from "@lib/core/backoff.ts";

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

Deno.test("retry() repeats what may pass at most 3 times and stops when its signal aborts", async () => {
  const stop = new AbortController();
  const waits: number[] = [];
  const said: string[] = [];
  let tries = 0;
  const options = {
    passing: (error: unknown) => error instanceof TypeError ? error.message : undefined,
    say: (line: string) => void said.push(line),
    clock: {
      now: () => 0,
      sleep: (ms: number) => {
        waits.push(ms);
        return stop.signal.aborted ? Promise.reject(stop.signal.reason) : Promise.resolve();
      },
    },
    signal: stop.signal,
  };
  const fail = (error: Error) => () => {
    tries++;
    return Promise.reject(error);
  };
  await assert.rejects(retry(fail(new TypeError("reset")), options), TypeError);
  assert.equal(tries, 4);
  for (const [index, base] of [1_000, 2_000, 4_000].entries()) {
    const wait = waits[index] ?? 0;
    assert.ok(wait <= base && wait >= base * 3 / 4, `${wait}`);
  }
  assert.match(said.at(-1) ?? "", /^reset; trying again in [34](?:\.\d)?s \(4 of 4\)$/);
  await assert.rejects(retry(fail(new RangeError("permanent")), options), RangeError);
  assert.equal(tries, 5);
  stop.abort(new Error("the setup takes too long"));
  await assert.rejects(retry(fail(new TypeError("reset")), options), TypeError);
  assert.equal(tries, 6);
  assert.equal(await retry(() => Promise.resolve(7), options), 7);
});
