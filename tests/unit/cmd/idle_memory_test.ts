import assert from "node:assert/strict";
import { collectorWhenIdle } from "../../../cmd/shared/idle_memory.ts";

Deno.test("collectorWhenIdle() collects once after each time of work, but not all the time", () => {
  let collected = 0;
  let now = 0;
  const look = collectorWhenIdle({ now: () => now }, () => collected++);
  const after = (idleForMs: number, at: number) => {
    now = at;
    look(idleForMs);
    return collected;
  };
  assert.equal(after(0, 0), 0);
  assert.equal(after(1_500, 1_500), 0);
  assert.equal(after(2_000, 2_000), 1);
  assert.equal(after(50_000, 50_000), 1);
  assert.equal(after(0, 60_000), 1);
  assert.equal(after(2_500, 62_500), 2);
  assert.equal(after(0, 63_000), 2);
  assert.equal(after(2_000, 65_000), 2);
  assert.equal(after(19_500, 82_500), 3);
});
