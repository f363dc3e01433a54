import assert from "node:assert/strict";
import {
  decodeProperties,
  LIMIT_PROPERTIES,
  limitProperties,
  USAGE_PROPERTIES,
} from "@lib/foundations/systemd/resource_limits.ts";

Deno.test("decodeProperties() leaves out what is infinite or missing", () => {
  const infinity = 2n ** 64n - 1n;
  assert.deepEqual(
    decodeProperties(LIMIT_PROPERTIES, [1_500_000n, infinity, 1_024n, undefined, 0n, 7n, infinity]),
    {
      cpuQuota: 1.5,
      memoryMaxBytes: 1_024,
      memorySwapMaxBytes: 0,
      tasksMax: 7,
    },
  );
});

Deno.test("limitProperties() reverts decodeProperties() and lifts what is absent", () => {
  const limits = { cpuQuota: 0.25, ioWeight: 50, memoryMaxBytes: 4_096 };
  const values = limitProperties(limits).map((property) => property.value.value);
  assert.deepEqual(decodeProperties(LIMIT_PROPERTIES, values), limits);
});

Deno.test("decodeProperties() converts usage to seconds and leaves out what is not accounted", () => {
  const values = [2n ** 64n - 1n, 3n, 1_500_000_000n];
  assert.deepEqual(decodeProperties(USAGE_PROPERTIES, values), { tasks: 3, cpuSeconds: 1.5 });
});
