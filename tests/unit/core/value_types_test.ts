import assert from "node:assert/strict";
import * as v from "valibot";
import {
  choice,
  decimal,
  duration,
  envMap,
  integer,
  nameList,
  path,
  size,
  type ValueType,
} from "@lib/core/value_types.ts";

function read<T>(type: ValueType<T>, raw: unknown): T | string {
  const result = v.safeParse(type.schema, raw);
  return result.success ? result.output : result.issues[0].message;
}

Deno.test("duration() accepts texts and seconds within its bounds", () => {
  const type = duration({ min: 1_000, max: 3_600_000 });
  assert.equal(read(type, "10m"), 600_000);
  assert.equal(read(type, 90), 90_000);
  assert.equal(read(type, -1), "is -1; a duration cannot be negative");
  for (const wrong of ["soon", "2h", 0, true, null, [], {}, NaN]) {
    assert.match(String(read(type, wrong)), /; give a duration such as .* from 1s to 1h$/);
  }
});

Deno.test("size() accepts texts and bytes within its bounds", () => {
  const type = size({ min: 0, max: 1024 ** 3 });
  assert.equal(read(type, "512M"), 512 * 1024 ** 2);
  assert.equal(read(type, 7), 7);
  for (const wrong of ["big", "2G", -1, 1.5, false]) {
    assert.match(String(read(type, wrong)), /; give a size such as .* from 0 to 1G$/);
  }
});

Deno.test("integer() and decimal() take numbers, and numerals from a variable", () => {
  const whole = integer({ min: 1, max: 9 });
  assert.equal(read(whole, whole.fromText("8")), 8);
  assert.match(String(read(whole, whole.fromText("eight"))), /^is "eight"; give a whole number/);
  assert.match(String(read(whole, "8")), /^is "8"; give a whole number from 1 to 9$/);
  assert.match(String(read(whole, 1.5)), /give a whole number/);
  const fraction = decimal({ min: 0.01, max: 64 });
  assert.equal(read(fraction, fraction.fromText("0.5")), 0.5);
  assert.match(String(read(fraction, Infinity)), /^is Infinity; give a number/);
});

Deno.test("choice() proposes the word that was meant", () => {
  assert.equal(read(choice(["auto", "unit"]), "auto"), "auto");
  assert.equal(
    read(choice(["auto", "unit"]), "uint"),
    'is "uint"; give one of auto, unit; did you mean "unit"?',
  );
});

Deno.test("path() rejects what is not a string", () => {
  assert.equal(read(path("any"), "a/b"), "a/b");
  for (const wrong of ["", 3, "x".repeat(5_000)]) {
    assert.match(String(read(path("any"), wrong)), /give a path$/);
  }
});

Deno.test("envMap() accepts only texts under valid names", () => {
  assert.deepEqual(read(envMap(), { A: "1" }), { A: "1" });
  assert.match(String(read(envMap(), { A: null })), /^must be text$/);
  assert.match(String(read(envMap(), { "A-B": "1" })), /^is not a variable name/);
  assert.match(String(read(envMap(), { A: "x\0y" })), /^contains a NUL character$/);
  assert.match(String(read(envMap(), { A: "x".repeat(200_000) })), /the kernel takes at most/);
  assert.match(String(read(envMap(), ["A"])), /^must be an object$/);
});

Deno.test("nameList() accepts a list, or commas in a variable", () => {
  const type = nameList();
  assert.deepEqual(read(type, type.fromText("A, B,")), ["A", "B"]);
  assert.match(String(read(type, "A")), /give a list of variable names$/);
});

Deno.test("choice() shortens a value that it quotes", () => {
  assert.equal(read(choice(["a"]), "x".repeat(100)), `is "${"x".repeat(60)}…"; give one of a`);
  assert.equal(read(choice(["a"]), { a: 1 }), "is a map; give one of a");
});
