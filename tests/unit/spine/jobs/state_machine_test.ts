import assert from "node:assert/strict";
import * as fc from "fast-check";
import { isTerminal, type Job, JOB_STATES } from "@lib/spine/jobs/model.ts";
import { RETRY_CAUSES } from "@lib/spine/spec/job_fields.ts";
import { type JobEvent, retryDelay, transition } from "@lib/spine/jobs/state_machine.ts";
import { anyOutcome, makeJob, makeOutcome, makeSpec } from "../../../support/job_fixtures.ts";

const cancel = { reason: "cancelled", by: "by request" } as const;

/** The effect of each event on a job in each state: the new state, or the answer. */
const TABLE: readonly (readonly [Job["state"], JobEvent, string])[] = [
  ["queued", { kind: "claimed", bootId: "b" }, "starting"],
  ["queued", { kind: "started", attempt: 1, at: 1 }, "state_conflict"],
  ["queued", { kind: "checked_out", attempt: 1, commit: "c" }, "state_conflict"],
  ["starting", { kind: "checked_out", attempt: 1, commit: "c" }, "starting"],
  ["running", { kind: "checked_out", attempt: 1, commit: "c" }, "running"],
  ["running", { kind: "checked_out", attempt: 2, commit: "c" }, "stale_attempt"],
  ["lost", { kind: "checked_out", attempt: 1, commit: "c" }, "unchanged"],
  ["queued", { kind: "ended", attempt: 1, outcome: makeOutcome() }, "state_conflict"],
  ["queued", { kind: "cancel_requested", cancel, at: 1 }, "cancelled"],
  ["queued", { kind: "retry_requested", at: 1 }, "state_conflict"],
  ["starting", { kind: "claimed", bootId: "b" }, "state_conflict"],
  ["starting", { kind: "started", attempt: 1, at: 1 }, "running"],
  ["starting", { kind: "ended", attempt: 1, outcome: makeOutcome() }, "succeeded"],
  ["starting", { kind: "cancel_requested", cancel, at: 1 }, "starting"],
  ["starting", { kind: "retry_requested", at: 1 }, "state_conflict"],
  ["running", { kind: "claimed", bootId: "b" }, "state_conflict"],
  ["running", { kind: "started", attempt: 1, at: 1 }, "unchanged"],
  ["running", { kind: "ended", attempt: 1, outcome: makeOutcome({ state: "lost" }) }, "lost"],
  ["running", { kind: "cancel_requested", cancel, at: 1 }, "running"],
  ["running", { kind: "retry_requested", at: 1 }, "state_conflict"],
  ["succeeded", { kind: "claimed", bootId: "b" }, "state_conflict"],
  ["succeeded", { kind: "started", attempt: 1, at: 1 }, "state_conflict"],
  ["succeeded", { kind: "ended", attempt: 1, outcome: makeOutcome() }, "unchanged"],
  ["succeeded", { kind: "cancel_requested", cancel, at: 1 }, "state_conflict"],
  ["succeeded", { kind: "retry_requested", at: 1 }, "queued"],
  ["cancelled", { kind: "cancel_requested", cancel, at: 1 }, "unchanged"],
  ["cancelled", { kind: "started", attempt: 1, at: 1 }, "state_conflict"],
  ["cancelled", { kind: "ended", attempt: 1, outcome: makeOutcome() }, "unchanged"],
  ["lost", { kind: "retry_requested", at: 1 }, "queued"],
];

for (const [state, event, wanted] of TABLE) {
  Deno.test(`transition() answers ${event.kind} of a ${state} job with ${wanted}`, () => {
    const result = transition(makeJob({ state, attempt: 1 }), event);
    const got = result.kind === "changed"
      ? result.job.state
      : result.kind === "refused"
      ? result.code
      : result.kind;
    assert.equal(got, wanted);
  });
}

Deno.test("transition() keeps a hold until it is released, cancelled or retried; the result stays", () => {
  const outcome = makeOutcome({ state: "failed", exitCode: 3, heldUntil: 100 });
  const ended = transition(makeJob({ state: "running", attempt: 1 }), {
    kind: "ended",
    attempt: 1,
    outcome,
  });
  assert.ok(ended.kind === "changed");
  assert.deepEqual([ended.job.state, ended.job.heldUntil], ["failed", 100]);
  const events: readonly (readonly [JobEvent, string])[] = [
    [{ kind: "released", attempt: 1 }, "failed"],
    [{ kind: "cancel_requested", cancel, at: 99 }, "failed"],
    [{ kind: "retry_requested", at: 99 }, "queued"],
  ];
  for (const [event, state] of events) {
    const result = transition(ended.job, event);
    assert.ok(result.kind === "changed");
    assert.deepEqual([result.job.state, result.job.heldUntil], [state, undefined]);
  }
  assert.equal(transition(ended.job, { kind: "released", attempt: 2 }).kind, "refused");
  // A hold that has passed by itself is none.
  assert.equal(
    transition(ended.job, { kind: "cancel_requested", cancel, at: 100 }).kind,
    "refused",
  );
});

Deno.test("transition() clears what an earlier attempt left when the next is claimed", () => {
  const failed = makeOutcome({ state: "failed", exitCode: 3, usage: { cpuSeconds: 1 } });
  const job = makeJob({
    state: "running",
    attempt: 1,
    startedAt: 5,
    spec: makeSpec({ retries: { max: 1, on: ["failed"], delayMs: 0 } }),
  });
  const queued = changed(transition(job, { kind: "ended", attempt: 1, outcome: failed }));
  assert.equal(queued.state, "queued");
  assert.match(queued.message ?? "", /^Attempt 1 ended/);
  const next = changed(transition(queued, { kind: "claimed", bootId: "b" }));
  const { startedAt: _ran, ...rest } = job;
  assert.deepEqual(next, { ...rest, state: "starting", attempt: 2, notBefore: next.notBefore });
});

Deno.test("transition() lets a cancel win over the retry policy", () => {
  const spec = makeSpec({ retries: { max: 3, on: [...RETRY_CAUSES], delayMs: 0 } });
  const job = makeJob({ state: "running", attempt: 1, spec, cancel });
  const outcome = makeOutcome({ state: "failed", exitCode: 1 });
  const ended = changed(transition(job, { kind: "ended", attempt: 1, outcome }));
  assert.equal(ended.state, "failed");
  assert.equal(ended.cancel, undefined);
});

Deno.test("retryDelay() doubles from attempt to attempt and never passes an hour", () => {
  const spec = makeSpec({ retries: { max: 10, on: ["failed"], delayMs: 60_000 } });
  const delays = Array.from(
    { length: 11 },
    (_, index) =>
      retryDelay(makeJob({ spec, attempt: index + 1 }), makeOutcome({ state: "failed" })),
  );
  assert.deepEqual(delays.slice(0, 3), [60_000, 120_000, 240_000]);
  assert.equal(delays[9], 3_600_000);
  assert.equal(delays[10], undefined);
});

Deno.test("retryDelay() counts attempts from the last request for a retry", () => {
  const spec = makeSpec({ retries: { max: 1, on: ["lost"], delayMs: 0 } });
  const lost = makeOutcome({ state: "lost" });
  assert.equal(retryDelay(makeJob({ spec, attempt: 2 }), lost), undefined);
  assert.equal(retryDelay(makeJob({ spec, attempt: 3, retryBase: 2 }), lost), 0);
});

Deno.test("retryDelay() counts oom_killed as a failure and as its own cause", () => {
  const oom = makeOutcome({ state: "failed", reason: "oom_killed" });
  const plain = makeOutcome({ state: "failed" });
  const only = makeSpec({ retries: { max: 1, on: ["oom_killed"], delayMs: 0 } });
  assert.equal(retryDelay(makeJob({ spec: only, attempt: 1 }), oom), 0);
  assert.equal(retryDelay(makeJob({ spec: only, attempt: 1 }), plain), undefined);
});

const anyEvent: fc.Arbitrary<JobEvent> = fc.oneof(
  fc.record({ kind: fc.constant("claimed" as const), bootId: fc.string() }),
  fc.record({ kind: fc.constant("started" as const), attempt: fc.nat(4), at: fc.nat() }),
  fc.record({ kind: fc.constant("ended" as const), attempt: fc.nat(4), outcome: anyOutcome }),
  fc.record({
    kind: fc.constant("cancel_requested" as const),
    cancel: fc.constant(cancel),
    at: fc.nat(),
  }),
  fc.record({ kind: fc.constant("retry_requested" as const), at: fc.nat() }),
);

const anyPolicy = fc.record({
  max: fc.nat(3),
  on: fc.subarray([...RETRY_CAUSES]),
  delayMs: fc.nat(1_000),
});

Deno.test("transition() keeps its promises over any sequence of events", () => {
  fc.assert(fc.property(anyPolicy, fc.array(anyEvent, { maxLength: 40 }), (retries, events) => {
    let job = makeJob({ spec: makeSpec({ retries }) });
    let begun = 0;
    for (const event of events) {
      const before = job;
      const result = transition(job, event);
      if ("attempt" in event && event.attempt !== before.attempt) {
        assert(result.kind === "refused" && result.code === "stale_attempt");
      }
      if (result.kind !== "changed") continue;
      job = result.job;
      assert(JOB_STATES.includes(job.state));
      assert(job.attempt >= before.attempt, "an attempt's number went back");
      if (isTerminal(before.state)) assert.equal(event.kind, "retry_requested");
      if (event.kind === "claimed") {
        assert.equal(job.attempt, before.attempt + 1);
        begun = before.attempt + 1;
      } else assert.equal(job.attempt, before.attempt);
      assert.equal(job.attempt, begun);
      if (event.kind === "ended" && before.cancel !== undefined) assert(isTerminal(job.state));
      if (event.kind === "ended" && job.state === "queued") {
        assert(before.attempt - before.retryBase <= retries.max, "one retry too many");
        assert.notEqual(event.outcome.state, "succeeded");
        assert.notEqual(event.outcome.state, "cancelled");
      }
      assert.equal(isTerminal(job.state), job.finishedAt !== undefined);
      if (isTerminal(job.state) || job.state === "queued") assert.equal(job.cancel, undefined);
    }
  }));
});

function changed(result: ReturnType<typeof transition>): Job {
  assert(result.kind === "changed");
  return result.job;
}

Deno.test("transition() lets no attempt end before it began", () => {
  const job = makeJob({ state: "running", attempt: 1, startedAt: 2_000 });
  const outcome = makeOutcome({
    state: "failed",
    reason: "checkout_failed",
    finishedAt: 1_990,
  });
  const { startedAt: _unknown, ...neverBegun } = outcome;
  const ended = changed(transition(job, { kind: "ended", attempt: 1, outcome: neverBegun }));
  assert.deepEqual([ended.startedAt, ended.finishedAt], [1_990, 1_990]);
});
