import assert from "node:assert/strict";
import { answerOf, failedAnswer } from "@lib/features/gryt/answer.ts";
import type { CollectedOutput } from "@lib/features/gryt/output.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { makeJob, makeSpec } from "../../../support/job_fixtures.ts";

const output = (text: string): CollectedOutput => ({ text, tail: text, tailIsWhole: true });
const RESULTS = '{"status":"ok","results":{"r":{"s":{"status":"success","returncode":0}}}}\n';

function answer(changes: Partial<Job>, stdout = "", stderr = "") {
  const job = makeJob({ startedAt: 1_000, finishedAt: 43_500, attempt: 1, ...changes });
  return answerOf(123, job, { stdout: output(stdout), stderr: output(stderr) });
}

Deno.test("answerOf() reports a success in the documented fields", () => {
  assert.deepEqual(answer({ state: "succeeded", reason: "exit_code", exitCode: 0 }, RESULTS, "w"), {
    job_id: 123,
    success: true,
    exit_code: 0,
    stdout: RESULTS,
    stderr: "w",
    duration_seconds: 42.5,
    started_at: "1970-01-01T00:00:01.000Z",
    completed_at: "1970-01-01T00:00:43.500Z",
    error: null,
  });
});

Deno.test("answerOf() reports a failed step although the container exited with 0", () => {
  const failed = RESULTS.replace('"success","returncode":0', '"error","returncode":4');
  const told = answer({ state: "succeeded", reason: "exit_code", exitCode: 0 }, failed);
  assert.equal(told.success, false);
  assert.equal(told.exit_code, 4);
  assert.equal(told.stdout, failed);
});

Deno.test("answerOf() reports what kept a job from running, without the setup's output", () => {
  const message = "Cannot check out";
  for (const reason of ["checkout_failed", "image_unavailable", "start_failed"] as const) {
    const told = answer({ state: "failed", reason, message }, "setup", "setup");
    assert.equal(told.success, false);
    assert.equal(told.exit_code, -1);
    assert.equal(told.stdout, "");
    assert.equal(told.stderr, message);
    assert.equal(told.error, message);
  }
});

Deno.test("answerOf() names the limit after a timeout and keeps the output", () => {
  const spec = makeSpec({ timeoutMs: 90_000 });
  const told = answer(
    { state: "timed_out", reason: "timeout", exitCode: 143, spec },
    "half",
    "warn",
  );
  assert.equal(told.exit_code, -1);
  assert.match(told.error ?? "", /time limit of 1m 30s/);
  assert.equal(told.stdout, "half");
  assert.equal(told.stderr, `warn\n${told.error}`);
});

Deno.test("answerOf() keeps the exit code of a job that was killed for its memory", () => {
  assert.equal(answer({ state: "failed", reason: "oom_killed", exitCode: 137 }).exit_code, 137);
  assert.equal(answer({ state: "lost", reason: "agent_lost" }).exit_code, -1);
  assert.equal(answer({ state: "cancelled", reason: "cancelled" }).success, false);
});

Deno.test("failedAnswer() has the shape of a failure", () => {
  assert.deepEqual(failedAnswer(1, "no", { startedAt: 0, completedAt: 1_500 }), {
    job_id: 1,
    success: false,
    exit_code: -1,
    stdout: "",
    stderr: "no",
    duration_seconds: 1.5,
    started_at: "1970-01-01T00:00:00.000Z",
    completed_at: "1970-01-01T00:00:01.500Z",
    error: "no",
  });
});

Deno.test("answerOf() explains a step that ran out of memory, in the request's own terms", () => {
  const failed = RESULTS.replace('"success","returncode":0', '"error","returncode":-9');
  const message = "Exited with code 0, after some of its processes ran out of memory: killed at " +
    "its 512M limit; it used 512M at its peak";
  const told = answer({ state: "succeeded", reason: "exit_code", exitCode: 0, message }, failed);
  assert.equal(
    told.error,
    'Step "s" failed with exit code -9, after some of its processes ran out of memory: killed at ' +
      "its 512M limit; it used 512M at its peak; raise memory_limit",
  );
  const private_ = "name the secret that opens it in `git.token_secret`";
  assert.match(
    answer({ state: "failed", reason: "checkout_failed", message: private_ }).error ?? "",
    /in `github_token_encrypted`/,
  );
});
