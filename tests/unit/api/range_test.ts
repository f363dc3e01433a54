import assert from "node:assert/strict";
import * as fc from "fast-check";
import { type ByteRange, parseRange } from "@lib/api/range.ts";

const once = { follow: false, offset: undefined };
const follow = { follow: true, offset: undefined };

const TABLE: readonly (readonly [string | null, boolean, ByteRange])[] = [
  [null, false, { kind: "all", from: 0, to: 100 }],
  [null, true, { kind: "all", from: 0 }],
  ["bytes=0-", false, { kind: "part", from: 0, to: 100 }],
  ["bytes=10-19", false, { kind: "part", from: 10, to: 20 }],
  ["bytes=90-999", false, { kind: "part", from: 90, to: 100 }],
  ["bytes=-30", false, { kind: "part", from: 70, to: 100 }],
  ["bytes=-300", false, { kind: "part", from: 0, to: 100 }],
  ["bytes=100-", false, { kind: "unsatisfiable" }],
  ["bytes=20-10", false, { kind: "unsatisfiable" }],
  ["bytes=100-", true, { kind: "part", from: 100 }],
  ["bytes=90-999", true, { kind: "part", from: 90, to: 1_000 }],
  ["bytes=101-", true, { kind: "unsatisfiable" }],
  ["bytes=-30", true, { kind: "part", from: 70 }],
  ["bytes=-0", false, { kind: "unsatisfiable" }],
  ["bytes=-00", true, { kind: "unsatisfiable" }],
  ["bytes=10-99999999999999999", false, { kind: "part", from: 10, to: 100 }],
  ["bytes=-99999999999999999", false, { kind: "part", from: 0, to: 100 }],
  ["bytes=12345678901234567-", false, { kind: "unsatisfiable" }],
  ["bytes=12345678901234567-12345678901234567", false, { kind: "unsatisfiable" }],
  ["bytes=-", false, { kind: "all", from: 0, to: 100 }],
  ["bytes=1-2,4-5", false, { kind: "all", from: 0, to: 100 }],
  ["lines=1-2", false, { kind: "all", from: 0, to: 100 }],
  ["bytes=1e3-", false, { kind: "all", from: 0, to: 100 }],
];

for (const [field, isFollow, wanted] of TABLE) {
  Deno.test(`parseRange() reads ${field} of 100 bytes${isFollow ? ", following" : ""}`, () => {
    assert.deepEqual(parseRange(field, 100, isFollow ? follow : once), wanted);
  });
}

Deno.test("parseRange() reads the last bytes of an empty resource as all of it", () => {
  assert.deepEqual(parseRange("bytes=-30", 0, once), { kind: "all", from: 0, to: 0 });
});

Deno.test("parseRange() takes an offset where there is no field", () => {
  assert.deepEqual(parseRange(null, 100, { follow: false, offset: 40 }), {
    kind: "all",
    from: 40,
    to: 100,
  });
  assert.deepEqual(parseRange(null, 100, { follow: false, offset: 101 }), {
    kind: "unsatisfiable",
  });
  assert.deepEqual(parseRange(null, 100, { follow: true, offset: 100 }), {
    kind: "all",
    from: 100,
  });
  assert.deepEqual(parseRange(null, 100, { follow: true, offset: 101 }), {
    kind: "unsatisfiable",
  });
});

Deno.test("parseRange() never asks for bytes that are not there, whatever the field", () => {
  const anyField = fc.oneof(
    fc.string(),
    fc.tuple(fc.option(fc.nat()), fc.option(fc.nat())).map(([a, b]) =>
      `bytes=${a ?? ""}-${b ?? ""}`
    ),
  );
  fc.assert(fc.property(anyField, fc.nat(1_000), (field, size) => {
    const range = parseRange(field, size, once);
    if (range.kind === "unsatisfiable") return;
    assert(range.to !== undefined && 0 <= range.from && range.from <= range.to && range.to <= size);
  }));
});
