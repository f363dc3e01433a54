import assert from "node:assert/strict";
import { makeOutcome } from "../../../support/job_fixtures.ts";
import { openApi } from "../../../support/api_fixture.ts";

Deno.test("a followed log that begins beyond what exists is refused, running or ended", async () => {
  using t = openApi();
  const { id } = t.add();
  t.logs.set(id, "one\n");
  const ask = async (query: string, headers: Readonly<Record<string, string>> = {}) => {
    const answer = await t.ask("GET", `/v1/jobs/${id}/logs?follow=1${query}`, { headers });
    if (answer.status !== 416) return `${answer.status} ${await answer.text()}`;
    assert.equal(answer.headers.get("content-type"), "application/problem+json");
    const { code, detail } = await answer.json();
    return `${code}: ${detail}`;
  };
  const events = { accept: "text/event-stream" };
  t.claim(id);
  for (const isEnded of [false, true]) {
    if (isEnded) t.store.apply(id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
    for (
      const refused of [
        await ask("&offset=5"),
        await ask("", { range: "bytes=5-" }),
        await ask("&offset=5", events),
        await ask("", { ...events, "last-event-id": "5" }),
      ]
    ) {
      assert.match(
        refused,
        /^range_not_satisfiable: Cannot read the log of job .* it has 4 bytes$/,
      );
    }
  }
  assert.equal(await ask("&offset=4"), "200 ");
  assert.equal(await ask("&offset=1"), "200 ne\n");
});
