import assert from "node:assert/strict";
import fc from "fast-check";
import { CicdError } from "@lib/core/errors.ts";
import { seal, sealingKey, sealMap, unseal, unsealMap } from "@lib/foundations/secrets/seal.ts";

const KEY = sealingKey(new Uint8Array(32).fill(7));
const OTHER = sealingKey(new Uint8Array(32).fill(8));

function hasCode(code: CicdError["code"]): (error: unknown) => boolean {
  return (error) => error instanceof CicdError && error.code === code;
}

Deno.test("unsealMap() gives back what sealMap() took, and no other context opens it", () => {
  const maps = fc.array(fc.tuple(fc.string(), fc.string({ unit: "binary" })))
    .map((entries) => new Map(entries));
  fc.assert(fc.property(maps, fc.string(), (secrets, context) => {
    const envelope = sealMap(KEY, secrets, context);
    assert.deepEqual(unsealMap(KEY, envelope, context), secrets);
    assert.throws(() => unsealMap(KEY, envelope, `${context}x`), hasCode("store_corrupt"));
  }));
});

Deno.test("unseal() refuses an envelope with any bit changed, or cut anywhere", () => {
  const envelope = seal(KEY, new TextEncoder().encode("hunter2"), "job");
  for (let at = 0; at < envelope.length; at++) {
    for (const bit of [1, 128]) {
      const changed = envelope.slice();
      changed[at] = (changed[at] ?? 0) ^ bit;
      assert.throws(() => unseal(KEY, changed, "job"), CicdError);
    }
    assert.throws(() => unseal(KEY, envelope.subarray(0, at), "job"), CicdError);
  }
});

Deno.test("unseal() distinguishes another key, a newer version and damage", () => {
  const envelope = seal(KEY, new Uint8Array([1, 2, 3]), "job");
  assert.throws(() => unseal(OTHER, envelope, "job"), hasCode("invalid_config"));
  const newer = envelope.slice();
  newer[1] = 2;
  assert.throws(() => unseal(KEY, newer, "job"), hasCode("store_newer"));
  assert.throws(() => unseal(KEY, new Uint8Array(100), "job"), hasCode("store_corrupt"));
});

Deno.test("seal() never makes the same envelope twice, and shows nothing of the bytes", () => {
  const bytes = new TextEncoder().encode("hunter2hunter2hunter2");
  const first = seal(KEY, bytes, "job");
  assert.notDeepEqual(first, seal(KEY, bytes, "job"));
  assert.ok(!new TextDecoder("latin1").decode(first).includes("hunter2"));
});

Deno.test("unsealMap() rejects sealed bytes that are not names and values", () => {
  for (const text of ["{}", "[1]", '[["a"]]', "hunter2"]) {
    const envelope = seal(KEY, new TextEncoder().encode(text), "job");
    assert.throws(
      () => unsealMap(KEY, envelope, "job"),
      (error) => hasCode("store_corrupt")(error) && !Deno.inspect(error).includes("hunter2"),
    );
  }
});
