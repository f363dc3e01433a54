import assert from "node:assert/strict";
import { runKills } from "../support/kill_engine.ts";

// The whole of it is `deno task test:kill -- --kills 200`. The bus is left to that: systemd itself may
// take a minute and a half to get over its loss.
Deno.test("no job is lost or run twice when the suite's own processes are killed", async () => {
  const signal = new AbortController().signal;
  const { kills, problems } = await runKills({
    kills: 24,
    seed: 7,
    victims: ["runner", "agent", "both", "manager"],
    signal,
  });
  assert.deepEqual(problems, []);
  assert.ok(kills >= 24);
});
