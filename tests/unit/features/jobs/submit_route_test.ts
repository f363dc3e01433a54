import assert from "node:assert/strict";
import { nextTick } from "node:process";
import { CicdError } from "@lib/core/errors.ts";
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

Deno.test("a retry is refused if a drain begins while its body is read", async () => {
  let isDraining = false;
  using t = openApi({
    intake: {
      assertRoom() {},
      assertDisk() {},
      assertOpen() {
        if (isDraining) throw new CicdError("draining", "The queue is draining");
      },
    },
    bodyLimits() {
      isDraining = true;
      return { maxBytes: 1_000, timeoutMs: 1_000 };
    },
  });
  const { id } = t.store.insert({ job: makeJob() }).job;
  const cancel = { reason: "cancelled", by: "by request" } as const;
  t.store.apply(id, { kind: "cancel_requested", cancel, at: 1 });
  assert.equal((await t.ask("POST", `/v1/jobs/${id}/retry`)).status, 503);
  assert.equal(t.store.require(id).state, "cancelled");
});
