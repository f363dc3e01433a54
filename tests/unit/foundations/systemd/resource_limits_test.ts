import assert from "node:assert/strict";
import { decodeLimits, limitProperties } from "@lib/foundations/systemd/resource_limits.ts";

Deno.test("decodeLimits() leaves out what is infinite or missing", () => {
  const infinity = 2n ** 64n - 1n;
  assert.deepEqual(decodeLimits([1_500_000n, infinity, 1_024n, undefined, 0n, 7n, infinity]), {
    cpuQuota: 1.5,
    memoryMaxBytes: 1_024,
    memorySwapMaxBytes: 0,
    tasksMax: 7,
  });
});

Deno.test("limitProperties() reverts decodeLimits() and lifts what is absent", () => {
  const limits = { cpuQuota: 0.25, ioWeight: 50, memoryMaxBytes: 4_096 };
  const values = limitProperties(limits).map((property) => property.value.value);
  assert.deepEqual(decodeLimits(values), limits);
});
