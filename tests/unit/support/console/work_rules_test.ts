import assert from "node:assert/strict";
import type { AgentEnvelope } from "../../../support/console/envelope.ts";
import { messageFaults } from "../../../support/console/message_rules.ts";
import { outputText } from "../../../support/console/work_rules.ts";

function harms(type: string, payload: unknown, sessionId?: string): string[] {
  const message: AgentEnvelope = { kind: "agent", type, sessionId, payload };
  return messageFaults(message).map(({ harm }) => harm);
}

const bytes = (...values: number[]) => new Uint8Array(values).toBase64();
const output = (data: unknown) => harms("terminal:output", { session_id: "s", data }, "s");

Deno.test("messageFaults() accepts output of a terminal that ends between two characters", () => {
  assert.deepEqual(output(bytes(0x68, 0xc3, 0xa4)), []);
  assert.deepEqual(output(""), []);
  assert.equal(outputText(bytes(0x68, 0xc3, 0xa4)), "hä");
});

Deno.test("messageFaults() names a cut character, and base64 that is none", () => {
  for (const data of [bytes(0xc3), bytes(0xa4), "YQ", "YQ=", "Y-_=", "a b=", 5, undefined]) {
    assert.deepEqual(output(data), ["misread"], String(data));
  }
  assert.equal(outputText(bytes(0xc3)), "\ufffd");
});

Deno.test("messageFaults() drops a message of a terminal whose envelope names no session", () => {
  assert.deepEqual(harms("terminal:output", { session_id: "s", data: "" }), ["dropped"]);
  assert.deepEqual(harms("terminal:closed", { session_id: "s", exit_code: 0 }), ["dropped"]);
  assert.deepEqual(harms("terminal:closed", null, "s"), ["dropped"]);
});

Deno.test("messageFaults() wants the exit code of a terminal", () => {
  assert.deepEqual(harms("terminal:closed", { session_id: "s", exit_code: -1 }, "s"), []);
  assert.deepEqual(harms("terminal:closed", { session_id: "s" }, "s"), ["misread"]);
  assert.deepEqual(harms("terminal:closed", { session_id: "t", exit_code: 0 }, "s"), ["misread"]);
});

const RESULT = { command_id: "u", stdout: "a", stderr: "b", exit_code: 0, duration_ms: 3 };

Deno.test("messageFaults() accepts the result of a command, in both spellings", () => {
  assert.deepEqual(harms("command:result", RESULT), []);
  assert.deepEqual(harms("command:result", RESULT, "u"), []);
  const { exit_code: exitCode, duration_ms: durationMs, ...rest } = RESULT;
  assert.deepEqual(harms("command:result", { ...rest, exitCode, durationMs }), []);
});

Deno.test("messageFaults() names what spoils the result of a command", () => {
  assert.deepEqual(harms("command:result", null), ["crash"]);
  assert.deepEqual(harms("command:result", { ...RESULT, exit_code: undefined }), ["misread"]);
  assert.deepEqual(harms("command:result", RESULT, "session"), ["misread"]);
  assert.deepEqual(harms("command:result", { ...RESULT, stdout: "a\0b" }), ["lost"]);
  assert.deepEqual(harms("command:result", { ...RESULT, stderr: "\0" }), ["lost"]);
  assert.deepEqual(harms("command:result", { ...RESULT, stdout: undefined }), ["lost"]);
  assert.deepEqual(harms("command:result", { ...RESULT, duration_ms: 1.5 }), ["lost"]);
  assert.deepEqual(harms("command:result", { ...RESULT, command_id: undefined }), ["lost"]);
});

Deno.test("messageFaults() knows that a registration is not sent as a message", () => {
  assert.deepEqual(harms("registration", {}), ["misread"]);
});
