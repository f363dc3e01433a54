import assert from "node:assert/strict";
import { within } from "@lib/core/within.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const signal = new AbortController().signal;

Deno.test("within() tells if a promise was in time, and leaves no timer", async () => {
  const clock = new FakeClock();
  assert.equal(await within(clock, Promise.resolve(), 10, signal), true);
  const late = within(clock, new Promise(() => {}), 10, signal);
  await clock.tick(10);
  assert.equal(await late, false);
  assert.equal(clock.sleeping, 0);
});

Deno.test("within() passes failures on, and the signal's reason", async () => {
  const clock = new FakeClock();
  await assert.rejects(within(clock, Promise.reject(new Error("no")), 10, signal), /no/);
  const cut = new AbortController();
  const waiting = within(clock, new Promise(() => {}), 10, cut.signal);
  cut.abort(new Error("cut"));
  await assert.rejects(waiting, /cut/);
});
