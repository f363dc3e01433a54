import assert from "node:assert/strict";
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import { CicdError } from "@lib/core/errors.ts";

const HOUR = 3_600_000;

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true })
  );
}

Deno.test("withDeadline() aborts with what was waited for", async () => {
  using deadline = withDeadline(new AbortController().signal, 0, "the agent");
  const reason = await aborted(deadline);
  assert.ok(reason instanceof CicdError && reason.code === "deadline_exceeded");
  assert.equal(reason.message, "Cannot wait longer for the agent: 0 ms have passed");
});

Deno.test("withDeadline() aborts with the parent's reason, now or later", () => {
  const reason = new Error("enough");
  using early = withDeadline(AbortSignal.abort(reason), HOUR, "x");
  assert.equal(early.reason, reason);
  const parent = new AbortController();
  using late = withDeadline(parent.signal, HOUR, "x");
  assert.ok(!late.aborted);
  parent.abort(reason);
  assert.equal(late.reason, reason);
});

Deno.test("withDeadline() does nothing once disposed", () => {
  const parent = new AbortController();
  const deadline = withDeadline(parent.signal, HOUR, "x");
  deadline[Symbol.dispose]();
  parent.abort();
  assert.ok(!deadline.aborted);
});

Deno.test("raceAbort() gives the promise's result or failure", async () => {
  const { signal } = new AbortController();
  assert.equal(await raceAbort(Promise.resolve(3), signal), 3);
  await assert.rejects(raceAbort(Promise.reject(new Error("no")), signal), /no/);
});

Deno.test("raceAbort() rejects with the signal's reason and absorbs the late failure", async () => {
  const reason = new Error("enough");
  const stop = new AbortController();
  const late = Promise.withResolvers<void>();
  const racing = raceAbort(late.promise, stop.signal);
  stop.abort(reason);
  await assert.rejects(racing, reason);
  late.reject(new Error("late"));
  await assert.rejects(raceAbort(Promise.reject(new Error("x")), stop.signal), reason);
});
