import assert from "node:assert/strict";
import {
  AGENT_TYPES,
  agentFrame,
  forgedFrame,
  pongFrame,
  readFrame,
} from "../../../support/console/envelope.ts";

Deno.test("readFrame() takes every type of an agent, with an empty protocol_version too", () => {
  for (const type of AGENT_TYPES) {
    const frame = readFrame(JSON.stringify({ protocol_version: "", type, payload: {} }));
    assert.deepEqual(frame, { kind: "agent", type, sessionId: undefined, payload: {} });
  }
});

Deno.test("readFrame() takes the console's own shape", () => {
  const frame = readFrame(pongFrame("c1", 5));
  assert.deepEqual(frame, {
    kind: "native",
    channel: "heartbeat",
    type: "heartbeat:pong",
    data: { ok: true },
  });
});

Deno.test("readFrame() drops what is no envelope", () => {
  const good = { protocol_version: "1.0", type: "heartbeat", payload: {} };
  const { protocol_version: _, ...unversioned } = good;
  for (
    const frame of [
      "",
      "<html>",
      "null",
      "[]",
      '"heartbeat"',
      JSON.stringify(unversioned),
      JSON.stringify({ ...good, protocol_version: 1 }),
      JSON.stringify({ ...good, type: undefined }),
      JSON.stringify({ ...good, type: "terminal:created" }),
      JSON.stringify({ ...good, type: "terminal:error" }),
      JSON.stringify({ ...good, session_id: 7 }),
      JSON.stringify({ ...good, payload: undefined }),
      JSON.stringify({
        protocolVersion: "1.0",
        channel: "heartbeat",
        type: "x",
        ts: "1",
        data: {},
      }),
    ]
  ) {
    assert.equal(readFrame(frame).kind, "dropped", frame);
  }
});

Deno.test("agentFrame() writes the frame that tells an agent to begin, to the byte", () => {
  assert.equal(
    agentFrame("log:subscribe", { paths: ["*"] }),
    '{"protocol_version":"1.0","type":"log:subscribe","payload":{"paths":["*"]}}',
  );
  assert.match(agentFrame("terminal:close", {}, "s1"), /"session_id":"s1"/);
});

Deno.test("forgedFrame() has both shapes, as a browser's frame that is forwarded raw", () => {
  const frame: unknown = JSON.parse(forgedFrame("c1", "command:dispatch", { command: "id" }, 1));
  assert.deepEqual(frame, {
    protocolVersion: "1.0",
    channel: "commands",
    ts: 1,
    data: {},
    instanceId: "c1",
    protocol_version: "1.0",
    type: "command:dispatch",
    payload: { command: "id" },
  });
});
