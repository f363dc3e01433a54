import assert from "node:assert/strict";
import { newJobId } from "@lib/core/ids.ts";
import { orphanSource } from "@lib/features/containers/cleaning.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { jobLabels } from "@lib/features/containers/job_labels.ts";
import { FakeCleaningEngine, makeContainerSummary } from "../../../support/fake_cleaning_engine.ts";
import { makeJob } from "../../../support/job_fixtures.ts";

const never = new AbortController().signal;
const HOUR_MS = 3_600_000;
const now = 10 * HOUR_MS;

function setup() {
  const engine = new FakeCleaningEngine();
  const jobs = new Map<string, Job>();
  const stateDir = "/state";
  const source = orphanSource(engine, {
    stateDir,
    read: (id) => jobs.get(id),
    now: () => now,
  });
  return {
    engine,
    jobs,
    source,
    container(job: Partial<Job> | undefined, number: number, createdAt = HOUR_MS): string {
      const jobId = newJobId();
      if (job !== undefined) jobs.set(jobId, makeJob({ id: jobId, ...job }));
      const name = `cicd-job-${jobId}-${number}`;
      const labels = jobLabels(stateDir, { job: jobId, project: "web", attempt: number });
      const container = { id: name, names: [name], labels, createdAt };
      engine.held.containers.set(name, makeContainerSummary(container));
      return name;
    },
    async found() {
      return (await source.find(never)).things.map(({ key }) => key);
    },
    async things() {
      return (await source.find(never)).things;
    },
  };
}

Deno.test("orphanSource() finds containers of attempts that are over, and of jobs long gone", async () => {
  const t = setup();
  const over = t.container({ state: "succeeded", attempt: 1, finishedAt: HOUR_MS }, 1);
  const earlier = t.container({ state: "running", attempt: 2 }, 1);
  const gone = t.container(undefined, 1);
  t.container({ state: "running", attempt: 1 }, 1);
  assert.deepEqual(await t.found(), [over, earlier, gone]);
});

Deno.test("orphanSource() leaves to the agent what is over only now, or was made only now", async () => {
  const t = setup();
  t.container({ state: "failed", attempt: 1, finishedAt: now - 1_000 }, 1);
  t.container(undefined, 1, now - 1_000);
  assert.deepEqual(await t.found(), []);
});

Deno.test("orphanSource() keeps a container whose job was retried since it looked", async () => {
  const t = setup();
  const name = t.container({ state: "lost", attempt: 1, finishedAt: HOUR_MS }, 1);
  const [thing] = await t.things();
  assert(thing !== undefined);
  for (const [id, job] of t.jobs) t.jobs.set(id, { ...job, state: "running" });
  assert.equal((await t.source.remove(thing, never)).kind, "kept");
  assert(t.engine.held.containers.has(name));
});

Deno.test("orphanSource() removes containers and networks", async () => {
  const t = setup();
  t.container(undefined, 1);
  t.engine.held.networks.set("n", {
    id: "n",
    name: "cicd-n",
    createdAt: HOUR_MS,
  });
  for (const thing of await t.things()) await t.source.remove(thing, never);
  assert.deepEqual(await t.found(), []);
});

Deno.test("orphanSource() keeps the container of a hold until its time has passed", async () => {
  const t = setup();
  const ended = { state: "failed", attempt: 1, finishedAt: HOUR_MS } as const;
  t.container({ ...ended, heldUntil: now + 1 }, 1);
  const past = t.container({ ...ended, heldUntil: now }, 1);
  assert.deepEqual(await t.found(), [past]);
});
