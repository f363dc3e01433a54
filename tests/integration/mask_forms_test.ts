import assert from "node:assert/strict";
import { tryMasks } from "../../tools/masks/round_trips.ts";

Deno.test("secrets are masked in what real encoders write; deno task test:masks tries more", async () => {
  const seed = Date.now() % 2 ** 32;
  const { count, missing, misses } = await tryMasks(60, seed);
  for (const name of missing) console.warn(`MISSING: ${name} is not installed; it was not tried`);
  assert.deepEqual(misses, [], `seed ${seed}`);
  assert.ok(count > 0);
});
