import assert from "node:assert/strict";
import * as fc from "fast-check";
import { formatSize, parseSize } from "@lib/core/size.ts";

Deno.test("parseSize() reads units in powers of 1024, and bytes", () => {
  const cases: readonly (readonly [string | number, number])[] = [
    ["512M", 512 * 1024 ** 2],
    ["1.5G", 1.5 * 1024 ** 3],
    ["64KiB", 65_536],
    ["64kb", 65_536],
    ["2 T", 2 * 1024 ** 4],
    ["7B", 7],
    ["7", 7],
    [7, 7],
    [0, 0],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, String(text));
});

Deno.test("parseSize() rejects an invalid size", () => {
  for (const text of ["", "M", "-1M", "1P", "1M1K", "0x10", "1e3", "1,5G"]) {
    assert.equal(parseSize(text), undefined, JSON.stringify(text));
  }
  for (const value of [-1, 1.5, NaN, Infinity, 2 ** 53]) assert.equal(parseSize(value), undefined);
  assert.equal(parseSize("99999999T"), undefined);
});

Deno.test("formatSize() gives one unit", () => {
  assert.equal(formatSize(0), "0B");
  assert.equal(formatSize(1_023), "1023B");
  assert.equal(formatSize(12.5 * 1024 ** 2), "12.5M");
  assert.equal(formatSize(3 * 1024 ** 4), "3T");
});

Deno.test("formatSize() is read back as it was, for whole units", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 1_023 }), fc.nat(4), (count, power) => {
    const bytes = count * 1024 ** power;
    assert.equal(parseSize(formatSize(bytes)), bytes);
  }));
});
