import assert from "node:assert/strict";
import { JobEvents } from "@lib/spine/jobs/job_events.ts";
import { isTerminal } from "@lib/spine/jobs/model.ts";
import { makeJob } from "../../../support/job_fixtures.ts";

function wait(events: JobEvents, job = makeJob(), signal = new AbortController().signal) {
  return events.waitFor(job.id, {
    read: () => job,
    isWanted: ({ state }) => isTerminal(state),
    signal,
  });
}

Deno.test("waitFor() resolves at once with a state that is wanted already", async () => {
  const events = new JobEvents();
  const job = makeJob({ state: "lost" });
  assert.equal(await wait(events, job), job);
  assert.equal(events.size, 0);
});

Deno.test("waitFor() waits for the wanted state of its own job", async () => {
  const events = new JobEvents();
  const job = makeJob();
  const waiting = wait(events, job);
  events.publish(makeJob({ state: "failed" }), undefined);
  events.publish({ ...job, state: "running" }, job);
  const ended = { ...job, state: "succeeded" as const };
  events.publish(ended, job);
  assert.equal(await waiting, ended);
  assert.equal(events.size, 0);
});

Deno.test("waitFor() rejects with the signal's reason and stops listening", async () => {
  const events = new JobEvents();
  const stop = new AbortController();
  const waiting = wait(events, makeJob(), stop.signal);
  stop.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  assert.equal(events.size, 0);
});
