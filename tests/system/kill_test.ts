import assert from "node:assert/strict";
import { runKills } from "../support/kill_engine.ts";

// The whole of it is `deno task test:kill -- --kills 200`. The bus is left to that: systemd itself may
// take a minute and a half to get over its loss.
Deno.test("the suite loses no job and runs none twice when its own processes are killed", async () => {
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
