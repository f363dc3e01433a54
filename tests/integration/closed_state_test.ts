/**
 * A state directory that is closed to the account while the runner runs.
 *
 * @module
 */
import assert from "node:assert/strict";
import { pause, RunnerBench } from "../support/runner_process.ts";

/** Root may enter every directory, unless it gives that up. */
const AS_OTHERS = Deno.uid() !== 0 ? [] : [
  "setpriv",
  "--bounding-set=-dac_override,-dac_read_search",
  "--inh-caps=-dac_override,-dac_read_search",
];

Deno.test("a closed state directory is named by logs, by waiting jobs and by readiness, until it is open", async () => {
  await using t = new RunnerBench({ before: AS_OTHERS });
  await t.start();
  const ended = await t.runJob({ project: "web", script: "echo hello" });
  Deno.chmodSync(t.stateDir, 0);
  try {
    const { status, body } = await t.json("GET", `/v1/jobs/${ended.id}/logs`);
    assert.deepEqual([status, body.code], [500, "io_failed"]);
    assert.match(
      body.detail,
      /^Cannot read the log of job "[^"]+": .*permission denied.* 'projects\/web\/jobs\//i,
    );
    const { status: accepted, body: { id } } = await t.json("POST", "/v1/jobs", {
      body: { project: "web", script: "echo again" },
    });
    assert.equal(accepted, 201);
    const isSaid = async () => {
      const { body: { state, waiting } } = await t.json("GET", `/v1/jobs/${id}`);
      // A start may be under way before the directory is looked at again.
      return ["queued", "starting"].includes(state) &&
        waiting === `the state directory "${t.stateDir}" cannot be used: permission denied; give ` +
            "it back to this account, with mode 0700";
    };
    while (!await isSaid()) await pause(20);
    const ready = await t.json("GET", "/readyz");
    assert.equal(ready.status, 503);
    assert.match(ready.body.reasons.join(), /state directory .* permission denied/);
    Deno.chmodSync(t.stateDir, 0o700);
    const { body: { state } } = await t.json("GET", `/v1/jobs/${id}/wait?timeout=60s`);
    assert.equal(state, "succeeded");
    const log = await t.ask("GET", `/v1/jobs/${ended.id}/logs`);
    assert.equal(await log.text(), "hello\n");
    // It is looked at twice a second.
    while ((await t.json("GET", "/readyz")).status !== 200) await pause(20);
  } finally {
    Deno.chmodSync(t.stateDir, 0o700);
  }
});
