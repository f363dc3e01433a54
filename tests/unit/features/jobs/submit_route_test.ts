import assert from "node:assert/strict";
import { nextTick } from "node:process";
import { openApi } from "../../../support/api_fixture.ts";
import { makeJob } from "../../../support/job_fixtures.ts";

Deno.test("POST /v1/jobs lets the order of a job that starts at once out before it makes the answer", async () => {
  let isSent = false;
  const seen: boolean[] = [];
  using t = openApi({
    submitSoon() {
      const claim = () => ({ kind: "claimed", bootId: "boot-1" }) as const;
      // As a client of HTTP sends a request.
      nextTick(() => isSent = true);
      return t.store.insertSoon({ job: makeJob(), claim });
    },
    waitingReason() {
      seen.push(isSent);
      return undefined;
    },
  });
  const answer = await t.ask("POST", "/v1/jobs", { body: {} });
  assert.equal(answer.status, 201);
  assert.equal((await answer.json()).state, "starting");
  assert.deepEqual(seen, [true]);
});

Deno.test("requests after which a job may start say so, before they do their work", async () => {
  const said: number[] = [];
  using t = openApi({ startExpected: (ending = 0) => void said.push(ending) });
  const body = { project: "web", script: "true" };
  const { id } = await (await t.ask("POST", "/v1/jobs", { body })).json();
  assert.deepEqual(said, [0]);
  await t.ask("GET", `/v1/jobs/${id}`);
  await t.ask("POST", `/v1/jobs/${id}/cancel`);
  await t.ask("POST", `/v1/jobs/${id}/retry`);
  assert.deepEqual(said, [0, 1, 0]);
});
