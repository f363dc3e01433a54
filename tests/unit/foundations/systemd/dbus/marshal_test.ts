import assert from "node:assert/strict";
import fc from "fast-check";
import { marshal } from "@lib/foundations/systemd/dbus/marshal.ts";
import { unmarshal } from "@lib/foundations/systemd/dbus/unmarshal.ts";
import type { DBusValue } from "@lib/foundations/systemd/dbus/types.ts";

interface Typed {
  readonly signature: string;
  readonly value: DBusValue;
}

const text = fc.string({ unit: "grapheme", maxLength: 12 }).filter((s) => !s.includes("\0"));

/** Makes one or many values of the same basic type. */
const BASICS: Readonly<Record<string, fc.Arbitrary<DBusValue>>> = {
  y: fc.integer({ min: 0, max: 0xff }),
  b: fc.boolean(),
  n: fc.integer({ min: -0x8000, max: 0x7fff }),
  q: fc.integer({ min: 0, max: 0xffff }),
  i: fc.integer(),
  u: fc.integer({ min: 0, max: 0xffff_ffff }),
  x: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  t: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  d: fc.double({ noNaN: true }),
  s: text,
  o: fc.constantFrom("/", "/a", "/org/freedesktop/systemd1/unit/a_2d1"),
  g: fc.constantFrom("", "s", "a(sv)", "a{sv}"),
};

function valuesOf(code: string): fc.Arbitrary<DBusValue> {
  return BASICS[code] ?? fc.constant("");
}

const basic: fc.Arbitrary<Typed> = fc.constantFrom(...Object.keys(BASICS)).chain((code) =>
  valuesOf(code).map((value) => ({ signature: code, value }))
);

const { any } = fc.letrec<{ any: Typed }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    basic,
    tie("any").map(({ signature, value }) => ({ signature: "v", value: { signature, value } })),
    fc.array(tie("any"), { minLength: 1, maxLength: 4 }).map((fields) => ({
      signature: `(${fields.map((field) => field.signature).join("")})`,
      value: fields.map((field) => field.value),
    })),
    fc.tuple(tie("any").filter(({ signature }) => signature !== "y"), fc.nat(3)).map(
      ([{ signature, value }, count]) => ({
        signature: `a${signature}`,
        value: Array.from({ length: count }, () => value),
      }),
    ),
    fc.uint8Array().map((value) => ({ signature: "ay", value })),
    fc.tuple(fc.uniqueArray(text), tie("any")).map(([keys, { signature, value }]) => ({
      signature: `a{s${signature}}`,
      value: new Map(keys.map((key) => [key, value])),
    })),
  ),
}));

Deno.test("unmarshal() gives back what marshal() was given, in either byte order", () => {
  fc.assert(fc.property(fc.array(any, { maxLength: 4 }), fc.boolean(), (all, littleEndian) => {
    const signature = all.map((typed) => typed.signature).join("");
    fc.pre(signature.length <= 200);
    const values = all.map((typed) => typed.value);
    const bytes = marshal(signature, values, { littleEndian });
    const read = unmarshal(signature, bytes, { littleEndian });
    assert.deepEqual(read.values, values);
    assert.equal(read.length, bytes.length);
  }));
});

Deno.test("unmarshal() fails in a known way on any bytes", () => {
  fc.assert(fc.property(any, fc.uint8Array({ maxLength: 64 }), ({ signature }, bytes) => {
    try {
      unmarshal(signature, bytes);
    } catch (error) {
      assert(
        error instanceof RangeError || error instanceof TypeError || error instanceof SyntaxError,
      );
    }
  }));
});

Deno.test("marshal() aligns as the specification's examples do", () => {
  assert.deepEqual([...marshal("yu", [1, 2])], [1, 0, 0, 0, 2, 0, 0, 0]);
  assert.deepEqual([...marshal("s", ["foo"], { littleEndian: false })], [
    ...[0, 0, 0, 3],
    ...[0x66, 0x6f, 0x6f, 0],
  ]);
  // The length of an array of 8-byte values leaves out the padding before the first.
  assert.deepEqual([...marshal("at", [[5n]], { littleEndian: false })], [
    ...[0, 0, 0, 8, 0, 0, 0, 0],
    ...[0, 0, 0, 0, 0, 0, 0, 5],
  ]);
  assert.deepEqual([...marshal("at", [[]])], [0, 0, 0, 0, 0, 0, 0, 0]);
});

Deno.test("marshal() grows at every kind of value", () => {
  for (const [code, value] of [["u", 1], ["t", 1n], ["s", "x"], ["b", true], ["d", 1]] as const) {
    const values = Array.from({ length: 200 }, () => value);
    assert.deepEqual(unmarshal(`a${code}`, marshal(`a${code}`, [values])).values, [values]);
  }
});

Deno.test("marshal() refuses what does not fit its type", () => {
  const cases: readonly (readonly [string, DBusValue])[] = [
    ["y", 256],
    ["y", -1],
    ["n", 0x8000],
    ["q", 0.5],
    ["i", 2 ** 31],
    ["u", NaN],
    ["t", -1n],
    ["x", 2n ** 63n],
    ["s", "a\0b"],
    ["s", "\ud800"],
  ];
  for (const [signature, value] of cases) {
    assert.throws(() => marshal(signature, [value]), RangeError, signature);
  }
  const mismatches: readonly (readonly [string, DBusValue])[] = [
    ["t", 1],
    ["u", 1n],
    ["s", 1],
    ["b", 1],
    ["o", "no/path"],
    ["as", "x"],
    ["(ss)", ["one"]],
    ["v", "bare"],
    ["a{ss}", []],
    ["as", new Uint8Array(1)],
  ];
  for (const [signature, value] of mismatches) {
    assert.throws(() => marshal(signature, [value]), TypeError, signature);
  }
  assert.throws(() => marshal("s", []), TypeError);
});

Deno.test("unmarshal() refuses lengths beyond the message, bad UTF-8, bad booleans and bad padding", () => {
  assert.throws(() => unmarshal("s", new Uint8Array([255, 0, 0, 0, 65, 0])), RangeError);
  assert.throws(() => unmarshal("as", new Uint8Array([255, 255, 255, 255])), RangeError);
  assert.throws(() => unmarshal("s", new Uint8Array([1, 0, 0, 0, 0xff, 0])), TypeError);
  assert.throws(() => unmarshal("b", new Uint8Array([2, 0, 0, 0])), RangeError);
  assert.throws(() => unmarshal("yu", new Uint8Array([1, 9, 0, 0, 2, 0, 0, 0])), RangeError);
  assert.throws(() => unmarshal("au", new Uint8Array([2, 0, 0, 0, 1, 0, 0, 0])), RangeError);
});

Deno.test("unmarshal() refuses variants nested without end", () => {
  const bytes = new Uint8Array(600).map((_, index) => [1, 0x76, 0][index % 3] ?? 0);
  assert.throws(() => unmarshal("v", bytes), /nests deeper/);
});
