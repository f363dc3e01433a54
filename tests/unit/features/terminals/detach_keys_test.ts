import assert from "node:assert/strict";
import { DETACH_KEYS, DetachKeys, parseDetachKeys } from "@lib/features/terminals/detach_keys.ts";

function taken(keys: DetachKeys, text: string) {
  const { send, detach } = keys.take(new TextEncoder().encode(text));
  return [new TextDecoder().decode(send), detach];
}

Deno.test("DetachKeys finds a sequence, also one that comes in pieces, and passes on the rest", () => {
  const keys = new DetachKeys(parseDetachKeys(DETACH_KEYS));
  assert.deepEqual(taken(keys, "ls\x1c"), ["ls", false]);
  assert.deepEqual(taken(keys, "\x1cx"), ["", true]);
  assert.deepEqual(taken(keys, "a\x10\x11"), ["a", true]);
});

Deno.test("DetachKeys sends what turns out to be no sequence", () => {
  const keys = new DetachKeys(parseDetachKeys(DETACH_KEYS));
  assert.deepEqual(taken(keys, "\x10"), ["", false]);
  assert.equal(keys.isHolding, true);
  assert.deepEqual(taken(keys, "\x10\x1b[A"), ["\x10\x10\x1b[A", false]);
  assert.deepEqual(taken(keys, "\x1c"), ["", false]);
  assert.deepEqual(keys.release(), Uint8Array.of(0x1c));
  assert.equal(keys.isHolding, false);
});

Deno.test("parseDetachKeys() takes control keys and characters, and refuses others", () => {
  assert.deepEqual(parseDetachKeys("ctrl-a,d ctrl-]"), [[1, 100], [0x1d]]);
  for (const text of ["", " ", "ctrl-", "alt-x", "ctrl-a,", "é"]) {
    assert.throws(() => parseDetachKeys(text), /Cannot use the detach keys/, text);
  }
});
