import assert from "node:assert/strict";
import { nextTick } from "node:process";
import { openApi } from "../../../support/api_fixture.ts";
import { makeJob } from "../../../support/job_fixtures.ts";

Deno.test("POST /v1/jobs lets the order of a job that starts at once out before it makes the answer", async () => {
  let isSent = false;
  const seen: boolean[] = [];
  using t = openApi({
    submit() {
      const claim = () => ({ kind: "claimed", bootId: "boot-1" }) as const;
      // As a client of HTTP sends a request.
      nextTick(() => isSent = true);
      return t.store.insert({ job: makeJob(), claim });
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
