import assert from "node:assert/strict";
import { decodeFrame, encodeFrame } from "@lib/features/console/wire.ts";

Deno.test("encodeFrame() names the session of a terminal in the envelope, and of nothing else", () => {
  const payload = { session_id: "s1", data: "" };
  assert.equal(JSON.parse(encodeFrame("terminal:output", payload)).session_id, "s1");
  const result = { command_id: "c1", session_id: "s1", stdout: "" };
  assert.ok(!("session_id" in JSON.parse(encodeFrame("command:result", result))));
  assert.equal(JSON.parse(encodeFrame("metrics", {})).protocol_version, "1.0");
});

Deno.test("encodeFrame() leaves out what the console's database refuses", () => {
  const text = encodeFrame("command:result", { stdout: "a\0b\ud800c", lines: [{ line: "\0" }] });
  assert.deepEqual(JSON.parse(text).payload, { stdout: "ab\ufffdc", lines: [{ line: "" }] });
  assert.ok(!text.includes("\\u0000"));
});

Deno.test("decodeFrame() reads the acknowledgement in the console's other shape", () => {
  const pong = { protocolVersion: "1.0", channel: "heartbeat", type: "heartbeat:pong", data: {} };
  assert.deepEqual(decodeFrame(JSON.stringify(pong)), { kind: "pong" });
  assert.deepEqual(decodeFrame(new TextEncoder().encode(JSON.stringify(pong))), { kind: "pong" });
});

Deno.test("decodeFrame() gives the session of the envelope with the payload", () => {
  const text = '{"protocol_version":"1.0","type":"terminal:close","session_id":"s1","payload":{}}';
  assert.deepEqual(decodeFrame(text), {
    kind: "message",
    type: "terminal:close",
    payload: { session_id: "s1" },
  });
});

Deno.test("decodeFrame() tells apart what a browser could have sent", () => {
  const real = { protocol_version: "1.0", type: "command:dispatch", payload: { command: "x" } };
  for (const mark of [{ channel: "commands" }, { protocolVersion: "1.0" }, { channel: null }]) {
    assert.equal(decodeFrame(JSON.stringify({ ...real, ...mark })).kind, "forged");
  }
  const forgedPong = { ...real, channel: "heartbeat", type: "heartbeat:pong" };
  assert.equal(decodeFrame(JSON.stringify(forgedPong)).kind, "forged");
  assert.equal(decodeFrame(JSON.stringify(real)).kind, "message");
});

Deno.test("decodeFrame() takes nothing of garbage, and does not throw", () => {
  const cut = new TextEncoder().encode('{"protocol_version":"1.0","type":"ä"}').subarray(0, 33);
  const all = ["", "null", "[]", "3", '"x"', "<html>", "{", '{"type":"x","payload":{}}', cut];
  for (const data of all) assert.equal(decodeFrame(data).kind, "unusable", String(data));
  const odd = '{"protocol_version":"1.0","type":"x","payload":[1]}';
  assert.equal(decodeFrame(odd).kind, "unusable");
  const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
  assert.equal(decodeFrame(deep).kind, "unusable");
});
