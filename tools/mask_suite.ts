/**
 * Tries the masks of secrets in 100,000 round trips through real encoders: `deno task test:masks`.
 *
 * @module
 */
import { tryMasks } from "./masks/round_trips.ts";

if (import.meta.main) {
  const [wanted = 100_000, seed = Date.now() % 2 ** 32] = Deno.args.map(Number);
  const found = { count: 0, misses: 0 };
  for (let round = 0; found.count < wanted; round++) {
    const { count, encoders, missing, misses } = await tryMasks(500, seed + round);
    if (round === 0) {
      console.log(`seed ${seed}, ${encoders} encoders`);
      for (const name of missing) console.log(`MISSING: ${name} is not installed`);
    }
    for (const miss of misses.slice(0, 10)) console.log(JSON.stringify(miss));
    found.count += count;
    found.misses += misses.length;
  }
  console.log(`${found.count} round trips, ${found.misses} not masked`);
  if (found.misses > 0) Deno.exitCode = 1;
}
