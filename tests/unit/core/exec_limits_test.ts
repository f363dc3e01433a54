import assert from "node:assert/strict";
import {
  argvProblem,
  ENV_NAME_MAX_BYTES,
  envNameProblem,
  envProblem,
  EXEC_STRING_MAX_BYTES,
  EXEC_TOTAL_MAX_BYTES,
  execTotalProblem,
} from "@lib/core/exec_limits.ts";

const LONGEST = "x".repeat(EXEC_STRING_MAX_BYTES);

Deno.test("argvProblem() names the argument at fault", () => {
  assert.equal(argvProblem(["make", "", "ü"]), undefined);
  assert.equal(argvProblem(["x", LONGEST]), undefined);
  assert.equal(argvProblem([])?.message, "is empty; give a program");
  assert.equal(argvProblem([""])?.field, "0");
  assert.deepEqual(argvProblem(["x", "a\0b"]), {
    field: "1",
    message: "contains a NUL character",
  });
  assert.match(argvProblem(["x", `${LONGEST}y`])?.message ?? "", /at most 131071$/);
  assert.equal(argvProblem(["x", "\ud800"])?.message, "is not valid Unicode text");
});

Deno.test("argvProblem() counts bytes, not characters", () => {
  assert.match(argvProblem(["ü".repeat(65_536)])?.message ?? "", /^is 131072 bytes long/);
});

Deno.test("envProblem() names the variable at fault, its name counted in", () => {
  assert.equal(envProblem({ A: "", _b1: "x" }), undefined);
  assert.equal(envProblem({ A: LONGEST.slice(2) }), undefined);
  assert.equal(envProblem({ A: LONGEST.slice(1) })?.field, "A");
  assert.match(envProblem({ "A=B": "x" })?.message ?? "", /contains '='/);
  assert.match(envProblem({ "1A": "x" })?.message ?? "", /is not a variable name/);
  assert.equal(envProblem({ A: "\0" })?.message, "contains a NUL character");
});

Deno.test("envNameProblem() bounds the name", () => {
  assert.equal(envNameProblem("A".repeat(ENV_NAME_MAX_BYTES)), undefined);
  assert.match(envNameProblem("A".repeat(ENV_NAME_MAX_BYTES + 1)) ?? "", /at most 256/);
  assert.equal(envNameProblem(""), "has no name");
});

Deno.test("execTotalProblem() bounds all together, pointers counted", () => {
  const many = Array.from({ length: 8 }, () => "x".repeat(EXEC_STRING_MAX_BYTES - 100));
  assert.equal(argvProblem(many), undefined);
  assert.equal(execTotalProblem(many, { A: "1" }), undefined);
  const problem = execTotalProblem(many, { A: "x".repeat(1_000) });
  assert.equal(problem?.field, "");
  assert.match(problem?.message ?? "", /pass large data in a file$/);
  const tiny = Array.from({ length: EXEC_TOTAL_MAX_BYTES / 9 + 1 }, () => "");
  assert.ok(argvProblem(["x", ...tiny]) !== undefined);
});
