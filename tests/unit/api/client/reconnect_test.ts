import assert from "node:assert/strict";
import { Backoff } from "@lib/core/backoff.ts";
import { CicdError } from "@lib/core/errors.ts";
import { Reconnect } from "@lib/api/client/reconnect.ts";
import { ConnectionLostError } from "@lib/api/client/transport.ts";
import { submitSafely, waitForEnd } from "@lib/features/jobs/client.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { answer, fakeRunner, hastyClock, hastyReconnect, jobAnswer, lost } from "./_fakes.ts";

function failing(times: number, error: unknown = lost()) {
  let calls = 0;
  return {
    get calls() {
      return calls;
    },
    action: () => ++calls <= times ? Promise.reject(error) : Promise.resolve(jobAnswer()),
  };
}

Deno.test("Reconnect.run() tries until it succeeds and reports it once", async () => {
  const notes: string[] = [];
  const t = failing(4);
  await hastyReconnect(notes).run(t.action);
  assert.equal(t.calls, 5);
  assert.deepEqual(notes, ["lost", "found"]);
});

Deno.test("Reconnect.run() waits longer with each try", async () => {
  const clock = new FakeClock();
  const t = failing(3);
  const reconnect = new Reconnect({
    clock,
    signal: new AbortController().signal,
    backoff: new Backoff({ firstMs: 100, maxMs: 1_000, random: () => 0 }),
  });
  const done = reconnect.run(t.action);
  await clock.tick(99);
  assert.equal(t.calls, 1);
  await clock.tick(1);
  assert.equal(t.calls, 2);
  await clock.tick(200);
  assert.equal(t.calls, 3);
  await clock.tick(400);
  await done;
});

Deno.test("Reconnect.run() does not try again what was refused", async () => {
  const t = failing(9, new CicdError("queue_full", "No room"));
  await assert.rejects(hastyReconnect().run(t.action), { code: "queue_full" });
  assert.equal(t.calls, 1);
});

Deno.test("Reconnect.run() ends with the signal", async () => {
  const stop = new AbortController();
  const clock = new FakeClock();
  const done = new Reconnect({ clock, signal: stop.signal }).run(failing(9).action);
  await clock.tick(0);
  stop.abort(new Error("enough"));
  await assert.rejects(done, /enough/);
});

Deno.test("submitSafely() submits again when the answer got lost", async () => {
  const t = failing(2);
  await submitSafely(t.action, hastyReconnect());
  assert.equal(t.calls, 3);
});

Deno.test("submitSafely() fails at once where nobody listens", async () => {
  const t = failing(9, new ConnectionLostError("No socket", { isListening: false }));
  await assert.rejects(submitSafely(t.action, hastyReconnect()), /No socket/);
  assert.equal(t.calls, 1);
});

Deno.test("waitForEnd() asks again until the job has ended", async () => {
  const states = ["queued", "running", "succeeded"];
  const { runner } = fakeRunner(() => answer(200, jobAnswer({ state: states.shift() ?? "lost" })));
  const context = { clock: hastyClock(), reconnect: () => hastyReconnect() };
  const { signal } = new AbortController();
  const job = await waitForEnd(context, runner, { id: "1", signal });
  assert.equal(job.state, "succeeded");
  assert.equal(states.length, 0);
});

Deno.test("waitForEnd() gives the job as it is when the time is up", async () => {
  const clock = new FakeClock();
  const { runner, sent } = fakeRunner(async ({ path }) => {
    await clock.tick(Number(/timeout=(\d+)s/.exec(path)?.[1]) * 1_000);
    return answer(200, jobAnswer({ state: "running" }));
  });
  const context = { clock, reconnect: () => hastyReconnect() };
  const { signal } = new AbortController();
  const job = await waitForEnd(context, runner, { id: "1", until: 90_000, signal });
  assert.equal(job.state, "running");
  assert.deepEqual(sent.map(({ path }) => path), [
    "/v1/jobs/1/wait?timeout=60s",
    "/v1/jobs/1/wait?timeout=30s",
  ]);
});
