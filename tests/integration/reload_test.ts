import assert from "node:assert/strict";
import { pause, RunnerBench } from "../support/runner_process.ts";

const script = 'test -n "$XDG_RUNTIME_DIR"';

Deno.test("a reload reaches an agent that runs, and one with a mistake changes nothing", async () => {
  await using bench = new RunnerBench({ config: "defaults: { pass_env: [PATH] }\n" });
  await bench.start();
  assert.equal((await bench.runJob({ project: "web", script })).state, "failed");
  const agents = bench.agentPids();
  assert.equal(agents.length, 1);

  bench.configure("defaults: { pass_env: [PATH, XDG_RUNTIME_DIR] }\n");
  Deno.kill(bench.pid, "SIGHUP");
  let state = "";
  for (let tries = 0; state !== "succeeded" && tries < 50; tries++) {
    ({ state } = await bench.runJob({ project: "web", script }));
    if (state !== "succeeded") await pause(50);
  }
  assert.equal(state, "succeeded");
  assert.deepEqual(bench.agentPids(), agents);

  bench.configure("defaults: { pas_env: [PATH] }\n");
  Deno.kill(bench.pid, "SIGHUP");
  await pause(500);
  assert.equal((await bench.runJob({ project: "web", script })).state, "succeeded");
  assert.deepEqual(bench.agentPids(), agents);
});
