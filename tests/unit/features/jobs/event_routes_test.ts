import assert from "node:assert/strict";
import { openApi } from "../../../support/api_fixture.ts";

Deno.test("GET /v1/events reports a change of the reason to wait alone", async () => {
  const now: { waiting?: string } = {};
  using t = openApi({ waitingReason: () => now.waiting });
  const job = t.add();
  const response = await t.ask("GET", "/v1/events?since=0");
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  const next = async () => (await reader.read()).value ?? "";
  assert.match(await next(), /^id: 0/);
  assert.match(await next(), /"waiting":null/);
  now.waiting = "getting the image";
  const event = next();
  t.services.events.publish(job, job);
  assert.match(
    await event,
    new RegExp(`^event: job\nid: ${job.revision}\ndata: .*"waiting":"getting`),
  );
  await reader.cancel();
});
