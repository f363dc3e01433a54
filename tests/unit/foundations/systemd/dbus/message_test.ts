import assert from "node:assert/strict";
import fc from "fast-check";
import { CicdError } from "@lib/core/errors.ts";
import { marshal } from "@lib/foundations/systemd/dbus/marshal.ts";
import {
  decodeMessage,
  encodeMessage,
  messageLength,
} from "@lib/foundations/systemd/dbus/message.ts";

const call = {
  kind: "call",
  serial: 7,
  path: "/a",
  interface: "b.c",
  member: "D",
  destination: "e.f",
  signature: "sas",
  body: ["x", ["y", "z"]],
} as const;

Deno.test("decodeMessage() gives back what encodeMessage() was given", () => {
  assert.deepEqual(decodeMessage(encodeMessage(call)), { ...call, noReply: false });
});

Deno.test("messageLength() reads the length from the first 16 bytes", () => {
  const bytes = encodeMessage(call);
  assert.equal(messageLength(bytes.subarray(0, 16)), bytes.length);
});

Deno.test("decodeMessage() reads big-endian messages and passes over unknown fields", () => {
  const fields = [[200, { signature: "s", value: "new" }], [5, { signature: "u", value: 9 }]];
  const header = marshal("yyyyuua(yv)", [0x42, 2, 1, 1, 0, 3, fields], { littleEndian: false });
  const bytes = new Uint8Array(Math.ceil(header.length / 8) * 8);
  bytes.set(header);
  assert.equal(messageLength(bytes), bytes.length);
  const { kind, serial, replySerial } = decodeMessage(bytes);
  assert.deepEqual({ kind, serial, replySerial }, { kind: "reply", serial: 3, replySerial: 9 });
});

Deno.test("messageLength() refuses other protocols and more than 128 MiB", () => {
  const bytes = encodeMessage(call);
  for (const [index, value] of [[0, 0x47], [3, 2], [7, 0x10]] as const) {
    const broken = bytes.slice();
    broken[index] = value;
    assert.throws(() => messageLength(broken), CicdError);
  }
});

Deno.test("decodeMessage() fails with a CicdError whatever byte is wrong", () => {
  const bytes = encodeMessage(call);
  fc.assert(fc.property(fc.nat(bytes.length - 1), fc.nat(255), (index, value) => {
    const broken = bytes.slice();
    broken[index] = value;
    try {
      decodeMessage(broken);
    } catch (error) {
      assert(error instanceof CicdError);
    }
  }));
});
