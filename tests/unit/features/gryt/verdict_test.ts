import assert from "node:assert/strict";
import * as fc from "fast-check";
import { verdictOf } from "@lib/features/gryt/verdict.ts";

function verdict(stdout: string, changes: Partial<Parameters<typeof verdictOf>[0]> = {}) {
  return verdictOf({ exitCode: 0, stdout, stdoutIsWhole: true, stderr: "", ...changes });
}

const step = (status: string, returncode: number) => ({
  status,
  stdout: "",
  stderr: "",
  returncode,
  duration: 0.1,
  attempts: 1,
});
const results = (...steps: [string, unknown][]) =>
  JSON.stringify({ status: "ok", results: { runner_0: Object.fromEntries(steps) } });

Deno.test("verdictOf() believes a run whose steps all succeeded or were skipped", () => {
  const stdout = results(["build", step("success", 0)], ["test", step("skipped", 0)]);
  assert.deepEqual(verdict(`${stdout}\n`), { success: true, exitCode: 0 });
});

Deno.test("verdictOf() sees a failed step behind an exit code of 0", () => {
  const stdout = results(["build", step("success", 0)], ["test", step("error", 3)], [
    "late",
    step("error", 4),
  ]);
  assert.deepEqual(verdict(stdout), {
    success: false,
    exitCode: 3,
    error: 'Step "test" failed with exit code 3',
  });
});

Deno.test("verdictOf() reads the last results, printed over many lines or behind other output", () => {
  const failed = JSON.stringify({ status: "ok", results: { r: { s: step("error", 2) } } }, null, 2);
  const fine = JSON.stringify({ status: "ok", results: { r: { s: step("success", 0) } } }, null, 2);
  assert.equal(verdict(`[s] hello\n{"a": 1}\n${failed}\n`).exitCode, 2);
  assert.equal(verdict(`${failed}\n${fine}\n`).success, true);
  assert.equal(verdict(`${fine}\n${failed}`).success, false);
  assert.equal(verdict(`${results(["s", step("error", 5)])}\ngoodbye\n`).exitCode, 5);
  assert.equal(verdict(`${failed}\ngoodbye\n`).exitCode, 2);
});

Deno.test("verdictOf() is not misled by what a step printed", () => {
  const printed = { ...step("success", 0), stdout: '{"status": "error"}' };
  assert.equal(verdict(results(["s", printed])).success, true);
});

Deno.test("verdictOf() fails a run whose environment or destination failed", () => {
  assert.equal(
    verdict('{"status":"ok","results":{"status":"invalid_env","issues":["FOO"]}}').success,
    false,
  );
  const destinations = {
    runners: { r: { s: step("success", 0) } },
    destinations: { d: [{ status: "error", error: "no route" }] },
  };
  const result = verdict(JSON.stringify({ status: "ok", results: destinations }));
  assert.equal(result.exitCode, 1);
  assert.match(result.error ?? "", /no route/);
});

Deno.test("verdictOf() fails a pipeline that did not load", () => {
  const stderr = "Error: invalid syntax (pipeline.py, line 1)\n";
  assert.deepEqual(verdict("", { stderr }), {
    success: false,
    exitCode: 1,
    error: "The pipeline failed: invalid syntax (pipeline.py, line 1)",
  });
  assert.equal(verdict("printed while loading\n", { stderr }).success, false);
  assert.equal(verdict("").success, false);
});

Deno.test("verdictOf() keeps an exit code other than 0", () => {
  assert.equal(verdict(results(["s", step("success", 0)]), { exitCode: 137 }).exitCode, 137);
  assert.equal(verdict("", { exitCode: 127 }).success, false);
});

Deno.test("verdictOf() uses the exit code if another program was run", () => {
  assert.deepEqual(verdict("built 3 files\n"), { success: true, exitCode: 0 });
});

Deno.test("verdictOf() does not report success without having seen the results", () => {
  assert.equal(verdict("…the end of something long", { stdoutIsWhole: false }).success, false);
});

Deno.test("verdictOf() accepts whatever was printed", () => {
  fc.assert(fc.property(fc.string(), fc.jsonValue(), (text, value) => {
    verdict(text);
    verdict(`{${text}`);
    verdict(JSON.stringify({ results: value }));
  }));
});

Deno.test("verdictOf() lets no later line of JSON turn a failed pipeline green", () => {
  const failed = results(["test", step("error", 3)]);
  assert.equal(verdict(`${failed}\n{"status": "ok"}\n`).exitCode, 3);
  assert.equal(verdict(`${failed}\n{"status": "ok", "results": "none"}\n`).exitCode, 3);
  const lines = '{"level": "info", "status": "ok"}\n'.repeat(500);
  assert.equal(verdict(`${failed}\n${lines}`).exitCode, 3);
  assert.equal(verdict(`${failed}\n${'{"level": "info"}\n'.repeat(500)}`).exitCode, 3);
  assert.equal(verdict(`${results(["a", step("success", 0)])}\n{"status":"error"}`).success, false);
});
