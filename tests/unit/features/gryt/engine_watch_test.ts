import assert from "node:assert/strict";
import { EngineWatch } from "@lib/features/gryt/engine_watch.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

function setup() {
  const clock = new FakeClock();
  const looks: PromiseWithResolvers<string | undefined>[] = [];
  const watch = new EngineWatch({
    clock,
    ping() {
      const look = Promise.withResolvers<string | undefined>();
      looks.push(look);
      return look.promise;
    },
  });
  return { clock, looks, watch };
}

Deno.test("EngineWatch.available() waits for the first look, then never again", async () => {
  const { clock, looks, watch } = setup();
  const first = watch.available();
  looks[0]?.resolve(undefined);
  assert.equal(await first, true);
  await clock.tick(60_000);
  assert.equal(await watch.available(), true);
  assert.equal(looks.length, 2);
  looks[1]?.resolve("Cannot reach the engine");
  await clock.tick(0);
  assert.equal(await watch.available(), false);
});

Deno.test("EngineWatch.problem() looks now and shares one look", async () => {
  const { looks, watch } = setup();
  const both = [watch.problem(), watch.problem()];
  assert.equal(looks.length, 1);
  looks[0]?.reject(new Error("broken"));
  assert.deepEqual(await Promise.all(both), ["broken", "broken"]);
  void watch.problem();
  assert.equal(looks.length, 2);
});
