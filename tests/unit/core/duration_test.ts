import assert from "node:assert/strict";
import * as fc from "fast-check";
import { formatDuration, parseDuration } from "@lib/core/duration.ts";

Deno.test("parseDuration() reads units, sums of them, and seconds", () => {
  const cases: readonly (readonly [string | number, number])[] = [
    ["500ms", 500],
    ["90s", 90_000],
    ["1.5m", 90_000],
    ["10min", 600_000],
    ["1h30m", 5_400_000],
    ["1h 30m", 5_400_000],
    ["2d", 172_800_000],
    ["1w", 604_800_000],
    ["45", 45_000],
    [" 45 ", 45_000],
    [0, 0],
    [0.5, 500],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, String(text));
});

Deno.test("parseDuration() rejects an invalid duration", () => {
  for (const text of ["", " ", "5 x", "m", "-5m", "5m-", "1e3", "5mm", "h1", "٣s", "5M"]) {
    assert.equal(parseDuration(text), undefined, JSON.stringify(text));
  }
  for (const value of [-1, NaN, Infinity]) assert.equal(parseDuration(value), undefined);
  assert.equal(parseDuration(`${"9".repeat(30)}w`), undefined);
});

Deno.test("parseDuration() reads every whole number of each unit", () => {
  const units = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 };
  fc.assert(fc.property(
    fc.nat(100_000),
    fc.constantFrom(...Object.entries(units)),
    (count, [unit, ms]) => assert.equal(parseDuration(`${count}${unit}`), count * ms),
  ));
});

Deno.test("formatDuration() gives at most two units", () => {
  assert.equal(formatDuration(0), "0ms");
  assert.equal(formatDuration(999), "999ms");
  assert.equal(formatDuration(3_200), "3.2s");
  assert.equal(formatDuration(60_000), "1m");
  assert.equal(formatDuration(5_400_000), "1h 30m");
  assert.equal(formatDuration(90_061_000), "1d 1h");
});

Deno.test("formatDuration() is read back as it was, where two units suffice", () => {
  fc.assert(fc.property(fc.nat(59), fc.nat(23), (minutes, hours) => {
    const ms = hours * 3_600_000 + minutes * 60_000;
    assert.equal(parseDuration(formatDuration(ms)), ms);
  }));
});

Deno.test("parseDuration() refuses a text that would exhaust the stack", () => {
  assert.equal(parseDuration("1h1m".repeat(1_000_000)), undefined);
});
