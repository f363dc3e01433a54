import assert from "node:assert/strict";
import { newJobId } from "@lib/core/ids.ts";
import { holdMs } from "@lib/spine/attempts/hold_time.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import { makeOutcome, makeSpec, projectName } from "../../../support/job_fixtures.ts";

function ms(spec: Partial<JobSpec>, outcome: Partial<AttemptOutcome> = {}, number = 1): number {
  const ref = { project: projectName(), jobId: newJobId(), number };
  const failed = makeOutcome({ state: "failed", reason: "exit_code", startedAt: 1, ...outcome });
  return holdMs({ ref, spec: makeSpec(spec) }, failed, 3_600_000);
}

Deno.test("holdMs() holds what has run and failed, for as long as it asks, up to the maximum", () => {
  assert.equal(ms({}), 0);
  assert.equal(ms({ holdMs: 60_000 }), 60_000);
  assert.equal(ms({ holdMs: 7_200_000 }), 3_600_000);
  assert.equal(ms({ holdMs: 60_000 }, { state: "timed_out", reason: "timeout" }), 60_000);
});

Deno.test("holdMs() holds nothing that succeeded, was cancelled, was lost, or never began", () => {
  const holds = { holdMs: 60_000 };
  assert.equal(ms(holds, { state: "succeeded" }), 0);
  assert.equal(ms(holds, { state: "cancelled", reason: "cancelled" }), 0);
  assert.equal(ms(holds, { state: "lost", reason: "agent_lost" }), 0);
  const { startedAt: _never, ...unbegun } = makeOutcome({ state: "failed" });
  const ref = { project: projectName(), jobId: newJobId(), number: 1 };
  assert.equal(holdMs({ ref, spec: makeSpec(holds) }, unbegun, 3_600_000), 0);
});

Deno.test("holdMs() does not hold an attempt that is tried again", () => {
  const retried = { holdMs: 60_000, retries: { max: 2, on: ["failed"], delayMs: 0 } } as const;
  assert.deepEqual([1, 2, 3].map((number) => ms(retried, {}, number)), [0, 0, 60_000]);
  assert.equal(ms(retried, { state: "timed_out", reason: "timeout" }), 60_000);
});
