import assert from "node:assert/strict";
import * as fc from "fast-check";
import { judgeRun } from "@lib/features/gryt/verdict.ts";

function judge(stdout: string, changes: Partial<Parameters<typeof judgeRun>[0]> = {}) {
  return judgeRun({ exitCode: 0, stdout, stdoutIsWhole: true, stderr: "", ...changes });
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

Deno.test("judgeRun() believes a run whose steps all succeeded or were skipped", () => {
  const stdout = results(["build", step("success", 0)], ["test", step("skipped", 0)]);
  assert.deepEqual(judge(`${stdout}\n`), { success: true, exitCode: 0 });
});

Deno.test("judgeRun() sees a failed step behind an exit code of 0", () => {
  const stdout = results(["build", step("success", 0)], ["test", step("error", 3)], [
    "late",
    step("error", 4),
  ]);
  assert.deepEqual(judge(stdout), {
    success: false,
    exitCode: 3,
    error: 'Step "test" failed with exit code 3',
  });
});

Deno.test("judgeRun() reads the last results, printed over many lines or behind other output", () => {
  const failed = JSON.stringify({ status: "ok", results: { r: { s: step("error", 2) } } }, null, 2);
  const fine = JSON.stringify({ status: "ok", results: { r: { s: step("success", 0) } } }, null, 2);
  assert.equal(judge(`[s] hello\n{"a": 1}\n${failed}\n`).exitCode, 2);
  assert.equal(judge(`${failed}\n${fine}\n`).success, true);
  assert.equal(judge(`${fine}\n${failed}`).success, false);
  assert.equal(judge(`${results(["s", step("error", 5)])}\ngoodbye\n`).exitCode, 5);
  assert.equal(judge(`${failed}\ngoodbye\n`).exitCode, 2);
});

Deno.test("judgeRun() is not misled by what a step printed", () => {
  const printed = { ...step("success", 0), stdout: '{"status": "error"}' };
  assert.equal(judge(results(["s", printed])).success, true);
});

Deno.test("judgeRun() fails a run whose environment or destination failed", () => {
  assert.equal(
    judge('{"status":"ok","results":{"status":"invalid_env","issues":["FOO"]}}').success,
    false,
  );
  const destinations = {
    runners: { r: { s: step("success", 0) } },
    destinations: { d: [{ status: "error", error: "no route" }] },
  };
  const verdict = judge(JSON.stringify({ status: "ok", results: destinations }));
  assert.equal(verdict.exitCode, 1);
  assert.match(verdict.error ?? "", /no route/);
});

Deno.test("judgeRun() fails a pipeline that did not load", () => {
  const stderr = "Error: invalid syntax (pipeline.py, line 1)\n";
  assert.deepEqual(judge("", { stderr }), {
    success: false,
    exitCode: 1,
    error: "The pipeline failed: invalid syntax (pipeline.py, line 1)",
  });
  assert.equal(judge("printed while loading\n", { stderr }).success, false);
  assert.equal(judge("").success, false);
});

Deno.test("judgeRun() keeps an exit code other than 0", () => {
  assert.equal(judge(results(["s", step("success", 0)]), { exitCode: 137 }).exitCode, 137);
  assert.equal(judge("", { exitCode: 127 }).success, false);
});

Deno.test("judgeRun() lets the exit code count where another program was run", () => {
  assert.deepEqual(judge("built 3 files\n"), { success: true, exitCode: 0 });
});

Deno.test("judgeRun() does not call a run a success whose results it has not seen", () => {
  assert.equal(judge("…the end of something long", { stdoutIsWhole: false }).success, false);
});

Deno.test("judgeRun() judges whatever was printed", () => {
  fc.assert(fc.property(fc.string(), fc.jsonValue(), (text, value) => {
    judge(text);
    judge(`{${text}`);
    judge(JSON.stringify({ results: value }));
  }));
});
