import assert from "node:assert/strict";
import { runWatchdog, type WatchdogBeat } from "@lib/foundations/systemd/watchdog.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

function setup(
  overrides: {
    readonly unhealthyReason?: () => string | undefined;
    readonly ping?: () => Promise<void>;
  } = {},
) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const beats: WatchdogBeat["kind"][] = [];
  const done = runWatchdog({
    intervalMs: 1_000,
    ping: overrides.ping ?? (() => Promise.resolve()),
    unhealthyReason: overrides.unhealthyReason ?? (() => undefined),
    onBeat: (beat) => beats.push(beat.kind),
    clock,
    signal: stop.signal,
  });
  return {
    clock,
    beats,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}

Deno.test("runWatchdog() pings at once and then twice per interval", async () => {
  await using t = setup();
  await t.clock.tick(1_000);
  assert.deepEqual(t.beats, ["pinged", "pinged", "pinged"]);
});

Deno.test("runWatchdog() withholds the ping while unhealthy and resumes after", async () => {
  let reason: string | undefined = "the store does not answer";
  await using t = setup({ unhealthyReason: () => reason });
  await t.clock.tick(500);
  reason = undefined;
  await t.clock.tick(500);
  assert.deepEqual(t.beats, ["withheld", "withheld", "pinged"]);
});

Deno.test("runWatchdog() reports a failed ping and keeps beating", async () => {
  await using t = setup({ ping: () => Promise.reject(new Error("socket gone")) });
  await t.clock.tick(500);
  assert.deepEqual(t.beats, ["failed", "failed"]);
});

Deno.test("runWatchdog() pings when nobody listens to the beats", async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  let pings = 0;
  const done = runWatchdog({
    intervalMs: 1_000,
    ping: () => Promise.resolve(void pings++),
    unhealthyReason: () => undefined,
    clock,
    signal: stop.signal,
  });
  await clock.tick(1_000);
  stop.abort();
  await done;
  assert.equal(pings, 3);
});

Deno.test("runWatchdog() rejects an interval of 0", async () => {
  const options = {
    intervalMs: 0,
    ping: () => Promise.resolve(),
    unhealthyReason: () => undefined,
    clock: new FakeClock(),
    signal: AbortSignal.abort(),
  };
  await assert.rejects(runWatchdog(options), RangeError);
});
