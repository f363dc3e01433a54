import assert from "node:assert/strict";
import { jobExitCode } from "@lib/features/jobs/commands/follow_job.ts";
import { END_REASONS, isTerminal, JOB_STATES } from "@lib/spine/jobs/model.ts";

const ended = { state: "failed", reason: "exit_code", exit_code: null, signal: null } as const;

Deno.test("jobExitCode() is the job's own exit code", async () => {
  assert.equal(await jobExitCode({ ...ended, state: "succeeded", exit_code: 0 }), 0);
  for (const code of [1, 3, 64, 124, 125, 127, 255]) {
    assert.equal(await jobExitCode({ ...ended, exit_code: code }), code);
  }
});

Deno.test("jobExitCode() is 128 and the number of the signal", async () => {
  assert.equal(await jobExitCode({ ...ended, reason: "signal", signal: "SIGKILL" }), 137);
  assert.equal(await jobExitCode({ ...ended, reason: "signal", signal: "SIGTERM" }), 143);
  assert.equal(await jobExitCode({ ...ended, reason: "oom_killed" }), 137);
  assert.equal(await jobExitCode({ ...ended, reason: "oom_killed", exit_code: 0 }), 137);
});

Deno.test("jobExitCode() distinguishes what we did to a job from what it did", async () => {
  assert.equal(
    await jobExitCode({ ...ended, state: "timed_out", reason: "timeout", exit_code: 3 }),
    124,
  );
  assert.equal(await jobExitCode({ ...ended, state: "cancelled", reason: "superseded" }), 130);
  assert.equal(await jobExitCode({ ...ended, state: "lost", reason: "agent_lost" }), 125);
  for (const reason of ["start_failed", "checkout_failed", "image_unavailable"]) {
    assert.equal(await jobExitCode({ ...ended, reason, exit_code: 1 }), 125);
  }
});

Deno.test("jobExitCode() is 0 for a job that succeeded, and for no other", async () => {
  for (const state of JOB_STATES.filter(isTerminal)) {
    for (const reason of END_REASONS) {
      for (const exit_code of [null, 0, 1, 256, -1]) {
        for (const signal of [null, "SIGTERM", "SIGNOTHING"]) {
          const code = await jobExitCode({ state, reason, exit_code, signal });
          assert.equal(code === 0, state === "succeeded", `${state} ${reason} ${code}`);
          assert.ok(Number.isInteger(code) && code >= 0 && code < 256);
        }
      }
    }
  }
});
