import assert from "node:assert/strict";
import type { JobView } from "@lib/features/jobs/job_view.ts";
import { toJobView } from "@lib/features/jobs/job_view.ts";
import { hasEnded, type JobAnswer, jobAnswerSchema, parseAnswer } from "@lib/api/client/answers.ts";
import { isTerminal, type Job, JOB_STATES } from "@lib/spine/jobs/model.ts";
import { makeJob, makeSpec } from "../../../support/job_fixtures.ts";

function jobOf(): Job {
  const spec = makeSpec({ work: { kind: "script", text: "true", shell: "/bin/sh" } });
  return makeJob({ spec, state: "running", attempt: 1, revision: 1 });
}

Deno.test("jobAnswerSchema reads what the API shows, and keeps all of it", () => {
  const view: JobView = toJobView(jobOf(), {
    attempts: [{ ...jobOf(), jobId: jobOf().id, number: 1 }],
  });
  const sent: unknown = JSON.parse(
    JSON.stringify({ ...view, added_later: { by: "a newer runner" } }),
  );
  assert.deepEqual(parseAnswer(jobAnswerSchema, sent, "the job"), sent);
});

Deno.test("parseAnswer() names what it cannot read", () => {
  assert.throws(
    () => parseAnswer(jobAnswerSchema, { id: 1 }, "the job"),
    { code: "internal", message: /Cannot read the job: .*\(at id\)/ },
  );
});

Deno.test("hasEnded() agrees with the runner's states", () => {
  for (const state of JOB_STATES) {
    const job: Pick<JobAnswer, "state"> = { state };
    assert.equal(hasEnded(job), isTerminal(state));
  }
  assert.equal(hasEnded({ state: "invented" }), false);
});
