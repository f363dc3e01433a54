import assert from "node:assert/strict";
import { type JobView, toJobView } from "@lib/features/jobs/job_view.ts";
import * as v from "valibot";
import { added } from "@lib/api/answers.ts";
import { hasEnded, type JobAnswer, readJob } from "@lib/api/client/jobs.ts";
import { reading } from "@lib/api/client/reading.ts";
import { isTerminal, type Job, JOB_STATES } from "@lib/spine/jobs/model.ts";
import { makeJob, makeSpec } from "../../../support/job_fixtures.ts";

function jobOf(): Job {
  const spec = makeSpec({ work: { kind: "script", text: "true", shell: "/bin/sh" } });
  return makeJob({ spec, state: "running", attempt: 1, revision: 1 });
}

function sent(view: JobView, changes: object = {}): Record<string, unknown> {
  return JSON.parse(JSON.stringify({ ...view, ...changes }));
}

Deno.test("readJob() reads what the API shows, and keeps all of it", () => {
  const view = toJobView(jobOf(), { attempts: [{ ...jobOf(), jobId: jobOf().id, number: 1 }] });
  const answer = sent(view);
  assert.deepEqual(readJob(answer), answer);
});

Deno.test("readJob() takes states, reasons and fields of a newer runner", () => {
  const view = toJobView(jobOf());
  const answer = sent(view, {
    state: "hibernating",
    reason: "night",
    limits: { ...view.limits, gpus: 2 },
    added_later: { by: "a newer runner" },
  });
  assert.deepEqual(readJob(answer), answer);
});

Deno.test("readJob() does without what an older runner does not send", () => {
  const { limits: { disk_bytes: _, ...limits }, ...view } = toJobView(jobOf());
  const answer: unknown = JSON.parse(JSON.stringify({ ...view, limits }));
  assert.deepEqual(readJob(answer), answer);
});

Deno.test("reading() names what it cannot read", () => {
  assert.throws(
    () => readJob({ id: 1 }),
    { code: "internal", message: /Cannot read the job: .*\(at id\)/ },
  );
});

Deno.test("reading() loosens objects and choices, and no other schema", () => {
  const read = reading(
    v.object({
      kind: v.pipe(v.nullable(v.picklist(["a", "b"])), v.description("A kind")),
      at: v.pipe(v.string(), v.isoTimestamp()),
      items: v.array(v.object({ n: v.number() })),
      named: v.record(v.string(), v.number()),
      late: added(v.number()),
    }),
    "the thing",
  );
  const answer = { kind: "c", at: "later", items: [{ n: 1, more: true }], named: { x: 1 } };
  assert.deepEqual(read(answer), answer);
  assert.deepEqual(read({ ...answer, late: 3 }).late, 3);
  for (
    const wrong of [{ items: [{ n: "1" }] }, { named: { x: "y" } }, { late: "x" }, { kind: 1 }]
  ) {
    assert.throws(() => read({ ...answer, ...wrong }), /Cannot read the thing/);
  }
  assert.throws(() => read(undefined), /\(at its top\)/);
});

Deno.test("hasEnded() agrees with the runner's states", () => {
  for (const state of JOB_STATES) {
    const job: Pick<JobAnswer, "state"> = { state };
    assert.equal(hasEnded(job), isTerminal(state));
  }
  assert.equal(hasEnded({ state: "invented" }), false);
});
