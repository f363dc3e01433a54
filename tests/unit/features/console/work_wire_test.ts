import assert from "node:assert/strict";
import * as fc from "fast-check";
import { jobWorkOf, readDispatch, resultPayload } from "@lib/features/console/command_wire.ts";
import { readTerminalRequest, TERMINAL_TYPES } from "@lib/features/console/terminal_wire.ts";

const ID = "0192f3a4-0000-4000-8000-000000000000";

function read(fields: Readonly<Record<string, unknown>>) {
  const dispatch = readDispatch({ command_id: ID, command: "ls", ...fields });
  assert.ok(dispatch.kind === "command", JSON.stringify(dispatch));
  return dispatch.command;
}

Deno.test("readDispatch() tells lines, programs and scripts apart", () => {
  const work = (fields: Readonly<Record<string, unknown>>) => jobWorkOf(read(fields).work);
  const line = { command: ["/bin/bash", "-c", "ls"] };
  for (const args of [undefined, null, []]) assert.deepEqual(work({ args }), line);
  assert.deepEqual(work({ args: ["-l", "a b"] }), { command: ["ls", "-l", "a b"] });
  const script = new TextEncoder().encode("echo é\n").toBase64();
  const given = {
    command: "/bin/bash",
    args: ["-s"],
    env: ["A=b=c", `SINDRI_SCRIPT_B64=${script}`],
  };
  assert.deepEqual(work(given), { script: "echo é\n", shell: "/bin/bash", errexit: false });
  // The script is no variable of itself.
  assert.deepEqual(read(given).env, { A: "b=c" });
});

Deno.test("readDispatch() bounds the time limit", () => {
  for (const [given, ms] of [[1_500, 1_500], [0.5, 1], [1e12, 3_600_000]]) {
    assert.equal(read({ timeout_ms: given }).timeoutMs, ms);
  }
  for (const given of [undefined, null, 0, -1]) {
    assert.equal(read({ timeout_ms: given }).timeoutMs, 30_000);
  }
});

Deno.test("readDispatch() refuses what is not usable, and says to which command", () => {
  const bad: readonly Readonly<Record<string, unknown>>[] = [
    { command: "" },
    { command: 7 },
    { args: "x" },
    { args: [1] },
    { args: Array(257).fill("x") },
    { env: { A: "b" } },
    { env: ["A"] },
    { env: ["=b"] },
    { timeout_ms: "1" },
    { project: 1 },
    { env: ["SINDRI_SCRIPT_B64=*"], command: "/bin/bash" },
    { env: ["SINDRI_SCRIPT_B64=/w=="], command: "/bin/bash" },
    { env: ["SINDRI_SCRIPT_B64=eA=="], command: "bash" },
    { env: ["SINDRI_SCRIPT_B64=eA=="], command: "/usr/bin/python3" },
    { env: ["SINDRI_SCRIPT_B64=eA=="], command: "/bin/bash", args: ["-c", "id"] },
  ];
  for (const fields of bad) {
    const dispatch = readDispatch({ command_id: ID, command: "ls", ...fields });
    assert.ok(dispatch.kind === "unusable", JSON.stringify(fields));
    assert.equal(dispatch.id, ID);
    assert.match(dispatch.reason, /^Cannot use the (command|script): /);
  }
  for (const payload of [null, undefined, [], "x", {}, { command_id: "" }, { command_id: "a b" }]) {
    const dispatch = readDispatch(payload);
    assert.ok(dispatch.kind === "unusable");
    assert.equal(dispatch.id, undefined);
  }
});

Deno.test("resultPayload() has every field, and whole numbers", () => {
  const result = { stdout: "a", stderr: "", exitCode: 0, durationMs: 1.5 };
  assert.deepEqual(resultPayload(ID, result), {
    command_id: ID,
    stdout: "a",
    stderr: "",
    exit_code: 0,
    duration_ms: 2,
  });
});

Deno.test("readTerminalRequest() bounds sizes, and refuses what is not usable", () => {
  const size = (fields: Readonly<Record<string, unknown>>) => {
    const result = readTerminalRequest("terminal:resize", { session_id: "s", ...fields });
    assert.ok(result.kind === "request" && result.request.kind === "resize");
    return [result.request.columns, result.request.rows];
  };
  assert.deepEqual(size({ cols: 100, rows: 30 }), [100, 30]);
  assert.deepEqual(size({ cols: 65_535, rows: 1.5 }), [1_000, 1]);
  for (const none of [{}, { cols: 0, rows: 0 }, { cols: -1, rows: null }]) {
    assert.deepEqual(size(none), [80, 24]);
  }
  const bad = [
    ["terminal:input", { data: "*" }],
    ["terminal:input", { data: 7 }],
    ["terminal:input", {}],
    ["terminal:resize", { cols: "80" }],
    ["terminal:create", { shell: "bash -c id" }],
    ["terminal:other", {}],
  ] as const;
  for (const [type, fields] of bad) {
    const result = readTerminalRequest(type, { session_id: "s", ...fields });
    assert.equal(result.kind, "unusable", `${type} ${JSON.stringify(fields)}`);
  }
  for (const payload of [null, [], {}, { session_id: "" }, { session_id: "s".repeat(129) }]) {
    const result = readTerminalRequest("terminal:close", payload);
    assert.ok(result.kind === "unusable");
    assert.equal(result.session, undefined);
  }
});

Deno.test("whatever JSON comes is read or refused, and never thrown at", () => {
  const value = fc.jsonValue({ maxDepth: 2 });
  const fields = [
    "command_id",
    "command",
    "args",
    "env",
    "timeout_ms",
    "session_id",
    "data",
    "cols",
  ];
  const payload = fc.oneof(value, fc.dictionary(fc.constantFrom(...fields), value));
  fc.assert(fc.property(payload, (one) => {
    assert.ok(readDispatch(one).kind);
    for (const type of TERMINAL_TYPES) assert.ok(readTerminalRequest(type, one).kind);
  }));
});
