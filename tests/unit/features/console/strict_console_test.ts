import assert from "node:assert/strict";
import fc from "fast-check";
import { eventPayload } from "@lib/features/console/events.ts";
import {
  heartbeatPayload,
  type HostReading,
  metricsPayload,
} from "@lib/features/console/metrics.ts";
import { nextUsageBatch } from "@lib/features/console/usage.ts";
import { decodeFrame, encodeFrame } from "@lib/features/console/wire.ts";
import {
  AGENT_TYPES,
  agentFrame,
  forgedFrame,
  pongFrame,
  readFrame,
} from "../../../support/console/envelope.ts";
import { messageFaults } from "../../../support/console/message_rules.ts";
import type { Fault } from "../../../support/console/verdict.ts";

/** What the console finds wrong with a message that the link sends. */
function faultsOf(type: string, payload: Readonly<Record<string, unknown>>): readonly Fault[] {
  const frame = readFrame(encodeFrame(type, payload));
  if (frame.kind !== "agent") return assert.fail(JSON.stringify(frame));
  return messageFaults(frame);
}

const READING: HostReading = {
  at: 1_770_000_000_123,
  stat: "cpu  100 0 50 800 10 0 5 0 0 0\ncpu0 1 2 3\n",
  meminfo: "MemTotal: 8000 kB\nMemFree: 100 kB\nMemAvailable: 5000 kB\nCached: 7 kB\n" +
    "SReclaimable: 3 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
  netDev: "Inter-| x\n face |bytes\n    lo: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n",
  load: [0.5, 0.25, 0.1],
  cores: 2,
  disks: [],
};

Deno.test("the console takes heartbeats and metrics of any machine, down to odd figures", () => {
  const odd = fc.double({ min: 0, max: 1e15, noNaN: true });
  const disk = fc.record({
    mountPoint: fc.string(),
    device: fc.uuid(),
    type: fc.string(),
    totalBytes: odd,
    usedBytes: odd,
    freeBytes: odd,
  });
  fc.assert(fc.property(fc.array(disk, { maxLength: 3 }), odd, odd, (disks, uptimeMs, ticks) => {
    const stat = READING.stat.replace("100", String(Math.round(ticks)));
    const now: HostReading = { ...READING, stat, disks };
    const beat = { instanceId: "c1", at: READING.at, uptimeMs, distro: "ubuntu" };
    for (const before of [undefined, READING]) {
      assert.deepEqual(faultsOf("metrics", metricsPayload("c1", now, before)), []);
      assert.deepEqual(faultsOf("heartbeat", heartbeatPayload(beat, now, before)), []);
    }
    assert.deepEqual(faultsOf("heartbeat", heartbeatPayload(beat, undefined, undefined)), []);
  }));
});

Deno.test("the console stores events under the type that was meant", () => {
  for (const type of ["CONNECT", "DISCONNECT", "HEARTBEAT_RECOVERED", "ERROR"] as const) {
    const about = { instanceId: "c1", at: 5, message: "a\0b", metadata: { project: "web" } };
    assert.deepEqual(faultsOf("event", eventPayload(type, about)), []);
  }
});

Deno.test("encodeFrame() writes what the console reads, whatever texts hold", () => {
  fc.assert(
    fc.property(fc.constantFrom(...AGENT_TYPES), fc.string({ unit: "binary" }), (type, text) => {
      const frame = readFrame(encodeFrame(type, { session_id: "s", text }));
      assert.equal(frame.kind, "agent");
      assert.ok(!JSON.stringify(frame).includes("\\u0000"));
      const isTerminal = type.startsWith("terminal:");
      assert.equal(frame.kind === "agent" ? frame.sessionId : "", isTerminal ? "s" : undefined);
    }),
  );
});

Deno.test("decodeFrame() reads the console's frames in both of its shapes", () => {
  assert.deepEqual(decodeFrame(pongFrame("c1", 5)), { kind: "pong" });
  const subscribe = agentFrame("log:subscribe", { paths: ["*"] });
  const message = { kind: "message", type: "log:subscribe", payload: { paths: ["*"] } };
  assert.deepEqual(decodeFrame(subscribe), message);
  assert.deepEqual(decodeFrame(new TextEncoder().encode(subscribe)), message);
});

Deno.test("decodeFrame() tells a frame that a browser forged, whatever its type", () => {
  for (const type of ["command:dispatch", "terminal:create", "heartbeat:pong"]) {
    const forged = forgedFrame("c1", type, { command: "id" }, 5);
    assert.deepEqual(decodeFrame(forged), { kind: "forged", type });
  }
  const native = { protocolVersion: "1.0", channel: "terminal", type: "terminal:create", data: {} };
  assert.equal(decodeFrame(JSON.stringify(native)).kind, "forged");
});

Deno.test("decodeFrame() names garbage as such", () => {
  const garbage = ["", "null", "[]", "<html>", "{}", '{"type":5,"protocol_version":"1.0"}'];
  for (const text of garbage) assert.equal(decodeFrame(text).kind, "unusable", text);
  assert.equal(decodeFrame(new Uint8Array([0xff, 0xfe])).kind, "unusable");
});

Deno.test("the console stores usage of language models, with odd figures too", () => {
  const record = {
    id: 7,
    provider: "anthropic",
    model: "",
    operation: "",
    inputTokens: 1.5,
    outputTokens: NaN,
    cacheReadTokens: 0,
    cacheWriteTokens: 3,
    costUsd: Infinity,
    captureTier: "proxy",
    ts: 1_770_000_000_000.5,
  } as const;
  const source = { unsent: () => [record], markSent() {} };
  const batch = nextUsageBatch(source, new Set(), 5, (error) => assert.fail(String(error)));
  assert.equal(batch?.type, "llm_usage:batch");
  assert.deepEqual(faultsOf("llm_usage:batch", batch?.payload ?? {}), []);
});
