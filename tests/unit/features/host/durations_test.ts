import assert from "node:assert/strict";
import { durationMetrics } from "@lib/features/host/durations.ts";
import { makeOutcome, openMemoryStore } from "../../../support/job_fixtures.ts";

Deno.test("durationMetrics() counts how long attempts ran and jobs waited, each once", () => {
  using memory = openMemoryStore();
  const { store, db } = memory;
  const run = (createdAt: number, startedAt: number, finishedAt: number) => {
    const { id } = memory.claim(memory.add({ createdAt }).id);
    store.apply(id, { kind: "started", attempt: 1, at: startedAt });
    store.apply(id, { kind: "ended", attempt: 1, outcome: makeOutcome({ startedAt, finishedAt }) });
  };
  run(0, 200, 700);
  run(0, 90, 8_000);
  // The clock of the machine was put back.
  run(5_000, 4_000, 3_000);
  const [ran, waited] = durationMetrics(db, () => true).map(({ samples }) => samples[0]);
  const counts = (sample: typeof ran) =>
    Object.fromEntries(sample?.buckets?.map(({ le, count }) => [le, count]) ?? []);
  assert.equal(ran?.value, 0.5 + 7.91);
  const short = { "0.1": 1, "0.5": 2, "1": 2, "5": 2, "15": 3 };
  assert.deepEqual({ ...counts(ran), ...short }, counts(ran));
  assert.equal(counts(ran)["Infinity"], 3);
  assert.equal(waited?.value.toFixed(3), "0.290");
  assert.deepEqual({ ...counts(waited), "0.1": 2, "0.5": 3 }, counts(waited));
  assert.deepEqual(durationMetrics(db, () => false).map(({ samples }) => samples), [[], []]);
});

Deno.test("durationMetrics() counts a job that never started as neither", () => {
  using memory = openMemoryStore();
  const { id } = memory.claim(memory.add().id);
  const outcome = makeOutcome({ state: "failed", reason: "start_failed" });
  memory.store.apply(id, { kind: "ended", attempt: 1, outcome });
  assert.deepEqual(durationMetrics(memory.db, () => true).map(({ samples }) => samples), [[], []]);
});

Deno.test("durationMetrics() counts each attempt's run, but only the first one's wait", () => {
  using memory = openMemoryStore();
  const { store, db } = memory;
  const { id } = memory.claim(memory.add().id);
  const end = (attempt: number, startedAt: number) =>
    store.apply(id, {
      kind: "ended",
      attempt,
      outcome: makeOutcome({ startedAt, finishedAt: startedAt + 1_000 }),
    });
  end(1, 100);
  store.apply(id, { kind: "retry_requested", at: 10_000 });
  memory.claim(id);
  end(2, 20_000);
  const counts = durationMetrics(db, () => true)
    .map(({ samples }) => samples[0]?.buckets?.at(-1)?.count);
  assert.deepEqual(counts, [2, 1]);
});
