import assert from "node:assert/strict";
import type { Job } from "@lib/spine/jobs/model.ts";
import type { AttemptRunner, RunAttemptOptions } from "@lib/spine/queue/attempt_runner.ts";
import { Rejoin } from "@lib/spine/queue/rejoin.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { makeJob, makeOutcome } from "../../../support/job_fixtures.ts";

function setup(jobs: readonly Job[]) {
  const clock = new FakeClock();
  const rejoin = new Rejoin({ jobs, clock });
  const { signal } = new AbortController();
  let isKnown = false;
  return {
    clock,
    rejoin,
    ask: async () => {
      await rejoin.known(signal);
      isKnown = true;
    },
    /** Tells if the question is answered by now. */
    async answered() {
      await clock.tick(0);
      return isKnown;
    },
  };
}

const running = () => makeJob({ state: "running" });

Deno.test("Rejoin.known() waits until each job under way has ended", async () => {
  const [one, two] = [running(), running()];
  const t = setup([one, two]);
  const asked = t.ask();
  t.rejoin.onChange(one);
  t.rejoin.onChange({ ...one, state: "succeeded" });
  assert.equal(await t.answered(), false);
  t.rejoin.onChange({ ...two, state: "queued" });
  assert.equal(await t.answered(), true);
  await asked;
  assert.equal(t.clock.sleeping, 0);
});

Deno.test("Rejoin.known() believes that a job is alive when no end follows", async () => {
  const job = running();
  const t = setup([job]);
  const told: (string | undefined)[] = [];
  const end = Promise.withResolvers<ReturnType<typeof makeOutcome>>();
  let inner: RunAttemptOptions | undefined;
  const runner: AttemptRunner = {
    run(_, options) {
      inner = options;
      return end.promise;
    },
    stop: () => Promise.resolve(),
    fence: () => false,
    kill: () => Promise.resolve(makeOutcome()),
  };
  const { signal } = new AbortController();
  const ran = t.rejoin.around(runner).run(job, {
    onStarted() {},
    onCommit() {},
    onWaiting() {},
    onDoing: (doing) => told.push(doing),
    onRefused: () => undefined,
    signal,
  });
  const asked = t.ask();
  inner?.onDoing("saving caches");
  assert.equal(await t.answered(), false);
  await t.clock.tick(250);
  assert.equal(await t.answered(), true);
  assert.deepEqual(told, ["saving caches"]);
  end.resolve(makeOutcome());
  await Promise.all([asked, ran]);
});

Deno.test("Rejoin.known() waits neither for silent agents forever nor when nothing was under way", async () => {
  const t = setup([running()]);
  const asked = t.ask();
  await t.clock.tick(2_999);
  assert.equal(await t.answered(), false);
  await t.clock.tick(1);
  assert.equal(await t.answered(), true);
  await asked;
  await t.rejoin.known(new AbortController().signal);
  await setup([]).rejoin.known(new AbortController().signal);
});
