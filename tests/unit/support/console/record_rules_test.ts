import assert from "node:assert/strict";
import {
  EVENT_TYPES,
  eventFaults,
  logBatchFaults,
  logLineFaults,
  usageFaults,
} from "../../../support/console/record_rules.ts";
import type { Fault } from "../../../support/console/verdict.ts";

const harms = (faults: readonly Fault[]) => faults.map(({ harm }) => harm);

Deno.test("eventFaults() accepts the types of the closed list, in any case", () => {
  for (const eventType of EVENT_TYPES) assert.deepEqual(eventFaults({ eventType }), []);
  assert.deepEqual(eventFaults({ event_type: "connect", eventType: "connect" }), []);
  assert.deepEqual(eventFaults({ type: "ERROR", metadata: { a: "b" } }), []);
});

Deno.test("eventFaults() names what is stored as a deployment, and what ends the console", () => {
  assert.deepEqual(harms(eventFaults({ event_type: "connect" })), ["misread"]);
  assert.deepEqual(harms(eventFaults({ eventType: "extension:install" })), ["misread"]);
  assert.deepEqual(harms(eventFaults({ eventType: 5 })), ["crash"]);
  assert.deepEqual(harms(eventFaults(null)), ["crash"]);
  assert.deepEqual(harms(eventFaults({ eventType: "ERROR", message: "\0" })), ["lost"]);
});

const LINE = { path: "app.log", line: "[INFO] x", timestamp: 1_770_000_000_000, level: "INFO" };

Deno.test("logLineFaults() accepts a line with any level and source that the console knows", () => {
  assert.deepEqual(logLineFaults(LINE), []);
  for (const level of ["debug", "Warning", "err", undefined]) {
    assert.deepEqual(logLineFaults({ ...LINE, level }), []);
  }
  assert.deepEqual(logLineFaults({ ...LINE, source: "extension:nodejs" }), []);
  assert.deepEqual(logLineFaults({ path: "a", message: "x", ts: "2026-03-04T05:06:07Z" }), []);
});

Deno.test("logLineFaults() names what is stored as something else, or not at all", () => {
  assert.deepEqual(harms(logLineFaults({ ...LINE, level: "fatal" })), ["misread"]);
  assert.deepEqual(harms(logLineFaults({ ...LINE, source: "job" })), ["misread"]);
  assert.deepEqual(harms(logLineFaults({ ...LINE, line: undefined })), ["misread"]);
  assert.deepEqual(harms(logLineFaults({ ...LINE, line: "a\0" })), ["lost"]);
  assert.deepEqual(harms(logLineFaults({ ...LINE, timestamp: 1.5 })), ["lost"]);
  assert.deepEqual(harms(logLineFaults({ ...LINE, path: undefined })), ["lost"]);
  assert.deepEqual(harms(logLineFaults({ ...LINE, line: " \t" })), ["misread"]);
  assert.deepEqual(harms(logLineFaults(null)), ["crash"]);
});

Deno.test("logLineFaults() and logBatchFaults() want a path below the logs", () => {
  for (const path of ["", "/etc/passwd", "../x", "foo/../../bar.log"]) {
    assert.deepEqual(harms(logLineFaults({ ...LINE, path })), ["misread"]);
    assert.deepEqual(harms(logBatchFaults({ path, lines: [LINE] })), ["misread"]);
  }
  assert.deepEqual(harms(logBatchFaults({ path: "a\0b", lines: [LINE] })), ["lost"]);
  for (const path of ["app.log", "sub/dir/app.log", "a..b.log"]) {
    assert.deepEqual(logLineFaults({ ...LINE, path }), []);
  }
});

Deno.test("logBatchFaults() wants an object for each line", () => {
  assert.deepEqual(logBatchFaults({ path: "app.log", lines: [LINE, LINE] }), []);
  assert.deepEqual(harms(logBatchFaults({ path: "a", lines: ["x"] })), ["misread"]);
  assert.deepEqual(harms(logBatchFaults({ path: "a", lines: [LINE, null] })), ["crash"]);
  assert.deepEqual(harms(logBatchFaults({ path: "a", lines: null })), ["lost"]);
  assert.deepEqual(harms(logBatchFaults(null)), ["crash"]);
});

const RECORD = {
  provider: "anthropic",
  model: "",
  operation: "chat",
  inputTokens: 1,
  outputTokens: 2,
  cacheReadTokens: 3,
  costUsd: 0.5,
  captureTier: "proxy",
  ts: 1_770_000_000_000,
};

Deno.test("usageFaults() accepts records, and none at all", () => {
  assert.deepEqual(usageFaults({ records: [RECORD] }), []);
  assert.deepEqual(usageFaults({ records: [] }), []);
});

Deno.test("usageFaults() names the field that loses the whole batch", () => {
  const lost: readonly Readonly<Record<string, unknown>>[] = [
    { ts: undefined },
    { ts: "2026-03-04T05:06:07Z" },
    { model: undefined },
    { provider: undefined },
    { inputTokens: 1.5 },
    { outputTokens: "2" },
    { cacheReadTokens: null },
    { costUsd: "0.5" },
    { traceId: 5 },
  ];
  for (const change of lost) {
    assert.deepEqual(harms(usageFaults({ records: [RECORD, { ...RECORD, ...change }] })), ["lost"]);
  }
  assert.deepEqual(harms(usageFaults({ records: [null] })), ["lost"]);
  assert.deepEqual(harms(usageFaults(null)), ["crash"]);
});
