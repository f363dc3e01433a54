import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import type { GroupSchedule } from "@lib/spine/queue/commit_group.ts";
import { makeJob, makeOutcome, makeSpec, openMemoryStore } from "../../../support/job_fixtures.ts";

/** A store whose groups are stored when the test says so, and whose commits are counted. */
function setup() {
  const due: (() => void)[] = [];
  const late: (() => void)[] = [];
  const schedule: GroupSchedule = {
    soon: (store) => void due.push(store),
    later: (store) => void late.push(store),
  };
  const memory = openMemoryStore({ schedule });
  const run = (callbacks: (() => void)[]) => callbacks.splice(0).forEach((each) => each());
  return {
    ...memory,
    soon: () => run(due),
    later: () => run(late),
    pending: () => due.length,
    commits: () => Number(memory.db.first("SELECT count FROM commits")?.["count"]),
    [Symbol.dispose]: () => memory[Symbol.dispose](),
  };
}

Deno.test("insertSoon() stores the jobs of a moment in one commit, and resolves after it", async () => {
  using t = setup();
  const before = t.commits();
  const jobs = [makeJob(), makeJob(), makeJob()];
  const stored = jobs.map((job) => t.store.insertSoon({ job }));
  assert.equal(t.store.queuedCount(), 0);
  assert.equal(t.changes.length, 0);
  t.soon();
  assert.equal(t.commits(), before + 1);
  assert.deepEqual((await Promise.all(stored)).map(({ job }) => job.id), jobs.map(({ id }) => id));
  assert.deepEqual(t.changes.map(({ job }) => job.id), jobs.map(({ id }) => id));
});

Deno.test("a change that fails fails alone, and the others of its group are stored", async () => {
  using t = setup();
  const [good, bad, last] = [makeJob(), makeJob(), makeJob()];
  const refusal = new CicdError("queue_full", "Full");
  const ends = Promise.allSettled([
    t.store.insertSoon({ job: good }),
    t.store.insertSoon({
      job: bad,
      assertTaken() {
        throw refusal;
      },
    }),
    t.store.insertSoon({ job: last }),
  ]);
  t.soon();
  assert.deepEqual((await ends).map(({ status }) => status), [
    "fulfilled",
    "rejected",
    "fulfilled",
  ]);
  assert.deepEqual(t.changes.map(({ job }) => job.id), [good.id, last.id]);
  assert.equal(t.store.get(bad.id), undefined);
});

Deno.test("a repeated idempotency key in one group finds the job that comes before it", async () => {
  using t = setup();
  const idempotency = { key: "k", requestHash: "h" };
  const one = t.store.insertSoon({ job: makeJob(), idempotency });
  const other = t.store.insertSoon({ job: makeJob(), idempotency });
  t.soon();
  assert.equal((await other).kind, "replayed");
  assert.equal((await other).job.id, (await one).job.id);
  assert.equal(t.store.queuedCount(), 1);
});

Deno.test("applySoon() keeps a start back for the end of its attempt, but not for ever", async () => {
  using t = setup();
  const [short, long] = [t.add(), t.add()];
  for (const { id } of [short, long]) t.claim(id);
  const started = { kind: "started", attempt: 1, at: 5 } as const;
  void t.store.applySoon(short.id, started);
  void t.store.applySoon(long.id, started);
  assert.equal(t.pending(), 0);
  assert.equal(t.store.require(short.id).state, "starting");
  const before = t.commits();
  const end = t.store.applySoon(short.id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
  t.soon();
  assert.equal((await end).kind, "changed");
  assert.equal(t.commits(), before + 1);
  assert.deepEqual(
    t.changes.filter(({ job }) => job.id === short.id).map(({ job }) => job.state),
    ["queued", "starting", "running", "succeeded"],
  );
  t.later();
  assert.equal(t.store.require(long.id).state, "running");
});

Deno.test("a start alone is stored when its time has come", () => {
  using t = setup();
  const { id } = t.add();
  t.claim(id);
  void t.store.applySoon(id, { kind: "started", attempt: 1, at: 5 });
  assert.equal(t.store.require(id).state, "starting");
  t.later();
  assert.equal(t.store.require(id).state, "running");
});

Deno.test("a large group is stored in several commits", async () => {
  using t = setup();
  const stored = Array.from({ length: 70 }, () => t.store.insertSoon({ job: makeJob() }));
  const before = t.commits();
  t.soon();
  assert(t.store.queuedCount() < 70);
  while (t.pending() > 0) t.soon();
  assert.equal((await Promise.all(stored)).length, 70);
  assert(t.commits() - before > 1);
});

Deno.test("an end is stored though its successors claim jobs that cannot start", async () => {
  let asked = 0;
  using memory = openMemoryStore({
    successors(changes) {
      if (changes.length === 0) return undefined;
      assert(++asked < 9, "it is asked without an end");
      return { ids: [ended.id], event: { kind: "claimed", bootId: "b" } };
    },
  });
  const ended = memory.add();
  memory.claim(ended.id);
  const event = { kind: "ended", attempt: 1, outcome: makeOutcome() } as const;
  assert.equal((await memory.store.applySoon(ended.id, event)).kind, "changed");
  assert.equal(memory.store.require(ended.id).state, "succeeded");
});

Deno.test("a change that a listener makes is told after those of the commit it was told of", () => {
  const revisions: number[] = [];
  using memory = openMemoryStore({
    onChange({ id, state, cancel, revision }) {
      revisions.push(revision);
      if (cancel === undefined || state !== "starting") return;
      memory.store.apply(id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
    },
  });
  const group = makeSpec({ concurrencyGroup: "deploy", cancelInProgress: true });
  memory.claim(memory.add({ spec: group }).id);
  memory.add({ spec: group });
  assert.deepEqual(revisions, revisions.toSorted((a, b) => a - b));
  assert.equal(revisions.length, 5);
});
