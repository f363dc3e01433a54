import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import type { ErrorCode } from "@lib/core/error_codes.ts";
import { newJobId } from "@lib/core/ids.ts";
import { toJobView } from "@lib/features/jobs/job_view.ts";
import * as fc from "fast-check";
import { ALL_PROJECTS, rankOf } from "@lib/spine/queue/queue_queries.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { JobStore } from "@lib/spine/queue/job_store.ts";
import {
  makeJob,
  makeOutcome,
  makeSpec,
  openMemoryStore,
  projectName,
} from "../../../support/job_fixtures.ts";

function code(wanted: ErrorCode) {
  return (error: unknown) => error instanceof CicdError && error.code === wanted;
}

Deno.test("insert() reads back what was stored, byte for byte", () => {
  using t = openMemoryStore();
  const spec = makeSpec({
    env: { A: "ü\n\"'" },
    workdir: "/srv",
    concurrencyGroup: "deploy",
    labels: { pr: "7" },
    limits: { cpu: 0.5, memoryBytes: 1 << 30, tasks: 9 },
  });
  const job = t.add({ spec, createdAt: 5, notBefore: 6 });
  assert.deepEqual(t.store.get(job.id), job);
});

Deno.test("insert() answers a known idempotency key with the job of then", () => {
  using t = openMemoryStore();
  const idempotency = { key: "k", requestHash: "h" };
  const first = t.store.insert({ job: makeJob(), idempotency });
  const again = t.store.insert({ job: makeJob(), idempotency });
  assert.equal(again.kind, "replayed");
  assert.equal(again.job.id, first.job.id);
  assert.equal(t.store.queuedCount(), 1);
  assert.equal(t.changes.length, 1);
});

Deno.test("insert() refuses an idempotency key that belongs to another request", () => {
  using t = openMemoryStore();
  t.store.insert({ job: makeJob(), idempotency: { key: "k", requestHash: "h" } });
  assert.throws(
    () => t.store.insert({ job: makeJob(), idempotency: { key: "k", requestHash: "other" } }),
    code("idempotency_key_reused"),
  );
  assert.equal(t.store.queuedCount(), 1);
});

Deno.test("insert() cancels the open jobs of its group with the same change", () => {
  using t = openMemoryStore();
  const spec = makeSpec({ concurrencyGroup: "deploy" });
  const queued = t.add({ spec });
  const running = t.claim(t.add({ spec }).id);
  const other = t.add({ spec: makeSpec({ concurrencyGroup: "other" }) });
  const elsewhere = t.add({ spec: { ...spec, project: projectName("elsewhere") } });
  const result = t.store.insert({ job: makeJob({ spec: { ...spec, cancelInProgress: true } }) });
  assert(result.kind === "created");
  assert.deepEqual(
    new Set(result.superseded.map(({ id }) => id)),
    new Set([queued.id, running.id]),
  );
  assert.equal(t.store.require(queued.id).reason, "superseded");
  assert.equal(t.store.require(running.id).cancel?.reason, "superseded");
  assert.equal(t.store.require(other.id).state, "queued");
  assert.equal(t.store.require(elsewhere.id).state, "queued");
});

Deno.test("insert() leaves nothing behind when it fails half-way", () => {
  using t = openMemoryStore();
  const spec = makeSpec({ concurrencyGroup: "deploy" });
  const queued = t.add({ spec });
  const again = makeJob({ id: queued.id, spec: { ...spec, cancelInProgress: true } });
  assert.throws(() => t.store.insert({ job: again }), code("io_failed"));
  assert.equal(t.store.require(queued.id).state, "queued");
  assert.equal(t.changes.length, 1);
  const next = t.add();
  assert(next.revision > queued.revision);
  assert.deepEqual(t.store.changedSince(queued.revision, 9).map(({ id }) => id), [next.id]);
});

Deno.test("apply() gives each change its own revision, and reports it after the commit", () => {
  using t = openMemoryStore();
  const job = t.add();
  t.claim(job.id);
  t.store.apply(job.id, { kind: "started", attempt: 1, at: 3 });
  t.store.apply(job.id, { kind: "started", attempt: 1, at: 4 });
  t.store.apply(job.id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
  assert.deepEqual(t.changes.map(({ job }) => job.state), [
    "queued",
    "starting",
    "running",
    "succeeded",
  ]);
  const revisions = t.changes.map(({ job }) => job.revision);
  assert.deepEqual(revisions, [...revisions].sort((a, b) => a - b));
  assert.equal(new Set(revisions).size, revisions.length);
  assert.equal(t.store.attempts(job.id)[0]?.outcome?.exitCode, 0);
  assert.equal(t.store.attempts(job.id)[0]?.startedAt, 3);
});

Deno.test("apply() refuses an event of an attempt that another has followed", () => {
  using t = openMemoryStore();
  const job = t.add({ spec: makeSpec({ retries: { max: 1, on: ["failed"], delayMs: 0 } }) });
  t.claim(job.id);
  const outcome = makeOutcome({ state: "failed" });
  t.store.apply(job.id, { kind: "ended", attempt: 1, outcome });
  t.claim(job.id);
  const late = t.store.apply(job.id, { kind: "ended", attempt: 1, outcome });
  assert(late.kind === "refused" && late.code === "stale_attempt");
  assert.equal(t.store.require(job.id).state, "starting");
});

Deno.test("apply() fails with job_not_found for an unknown job", () => {
  using t = openMemoryStore();
  assert.throws(
    () => t.store.apply(newJobId(), { kind: "retry_requested", at: 0 }),
    code("job_not_found"),
  );
});

Deno.test("list() pages through all jobs, newest first, without one twice", () => {
  using t = openMemoryStore();
  const ids = Array.from({ length: 7 }, () => t.add().id);
  const seen: string[] = [];
  let page = t.store.list({ limit: 3 });
  seen.push(...page.jobs.map(({ id }) => id));
  while (page.more) {
    const last = page.jobs.at(-1);
    assert(last !== undefined);
    page = t.store.list({ limit: 3, before: last.id });
    seen.push(...page.jobs.map(({ id }) => id));
  }
  assert.deepEqual(seen, ids.toReversed());
});

Deno.test("list() filters by project and states", () => {
  using t = openMemoryStore();
  const a = t.add({ spec: makeSpec({ project: projectName("a") }) });
  t.add({ spec: makeSpec({ project: projectName("b") }) });
  t.claim(a.id);
  const found = t.store.list({ limit: 9, project: projectName("a"), states: ["starting", "lost"] });
  assert.deepEqual(found.jobs.map(({ id }) => id), [a.id]);
  assert.equal(t.store.list({ limit: 9, states: [] }).jobs.length, 0);
});

Deno.test("list() finds jobs by their labels, by an index, until they are removed", () => {
  using t = openMemoryStore();
  const labelled = (labels: Readonly<Record<string, string>>) =>
    t.add({ spec: makeSpec({ labels }) }).id;
  const both = labelled({ commit: "4f2a", "o'clock \u{1f550}": "a=b" });
  const one = labelled({ commit: "4f2a" });
  labelled({ commit: "4f2" });
  t.add();
  const found = (...labels: readonly (readonly [string, string])[]) =>
    t.store.list({ limit: 9, labels }).jobs.map(({ id }) => id);
  assert.deepEqual(found(["commit", "4f2a"]), [one, both]);
  assert.deepEqual(found(["commit", "4f2a"], ["o'clock \u{1f550}", "a=b"]), [both]);
  assert.deepEqual(found(["4f2a", "commit"]), []);
  const plan = t.db.all(
    `EXPLAIN QUERY PLAN SELECT id FROM jobs
     WHERE id IN (SELECT job_id FROM job_labels WHERE name = ? AND value = ?) ORDER BY id DESC`,
    "commit",
    "4f2a",
  );
  assert.doesNotMatch(JSON.stringify(plan), /SCAN/);
  t.store.apply(one, {
    kind: "cancel_requested",
    cancel: { reason: "cancelled", by: "by request" },
    at: 1,
  });
  assert(t.store.remove(one));
  assert.deepEqual(found(["commit", "4f2a"]), [both]);
  assert.equal(t.db.all("SELECT * FROM job_labels").length, 3);
});

Deno.test("list() and changedSince() give fewer jobs when these are large, but always one", () => {
  using t = openMemoryStore();
  const text = "x".repeat(4 * 1024 * 1024);
  const spec = makeSpec({ work: { kind: "script", text, shell: "/bin/sh" } });
  for (let count = 0; count < 5; count++) t.add({ spec });
  const page = t.store.list({ limit: 5 });
  assert(page.more);
  assert.equal(page.jobs.length, 1);
  assert.equal(t.store.changedSince(0, 5).length, 1);
});

Deno.test("candidates() omits jobs whose group is running or whose delay has not passed", () => {
  using t = openMemoryStore();
  const spec = makeSpec({ concurrencyGroup: "deploy" });
  t.claim(t.add({ spec }).id);
  t.add({ spec });
  const delayed = makeSpec({ retries: { max: 1, on: ["failed"], delayMs: 100 } });
  const later = t.add({ spec: delayed, attempt: 1, notBefore: 100 });
  const free = t.add();
  const at = (now: number) => t.store.candidates(now, 9)[0]?.candidates.map(({ id }) => id);
  assert.deepEqual(at(99), [free.id]);
  assert.deepEqual(new Set(at(100)), new Set([free.id, later.id]));
  assert.equal(t.store.candidates(0, 9)[0]?.running, 1);
  assert.equal(t.store.nextNotBefore(0), 100);
  assert.equal(t.store.nextNotBefore(100), undefined);
});

Deno.test("candidates() holds no job for longer than its delay when the clock was set back", () => {
  using t = openMemoryStore();
  const retries = { max: 3, on: ["failed"], delayMs: 100 } as const;
  const first = t.add({ notBefore: 10_000 });
  const second = t.add({ spec: makeSpec({ retries }), attempt: 2, notBefore: 10_200 });
  const at = (now: number) => t.store.candidates(now, 9)[0]?.candidates.map(({ id }) => id);
  assert.deepEqual(at(10_100), [first.id]);
  assert.deepEqual(new Set(at(9_999)), new Set([first.id, second.id]));
});

Deno.test("position() is the same counted from the end of a queue as from its beginning", () => {
  using t = openMemoryStore();
  const spec = makeSpec({ concurrencyGroup: "deploy" });
  const jobs = Array.from(
    { length: 250 },
    (_, at) => t.add({ createdAt: at, ...(at % 3 === 0 ? { spec } : {}) }),
  );
  for (const [at, job] of jobs.entries()) assert.equal(t.store.position(job), at);
});

Deno.test("position() counts the jobs of the project that start before", () => {
  using t = openMemoryStore({ ageingMs: 1_000 });
  const plain = t.add({ createdAt: 0 });
  const urgent = t.add({ createdAt: 500, spec: makeSpec({ priority: 9 }) });
  t.add({ createdAt: 0, spec: makeSpec({ project: projectName("other"), priority: 9 }) });
  assert.equal(t.store.position(urgent), 0);
  assert.equal(t.store.position(plain), 1);
});

Deno.test("findByPrefix() distinguishes one job, several and none", () => {
  using t = openMemoryStore();
  const { id } = t.add();
  assert.deepEqual(t.store.findByPrefix(id.slice(0, 20)), [id]);
  t.add();
  t.add();
  assert.equal(t.store.findByPrefix(id.slice(0, 6)).length, 3);
  assert.deepEqual(t.store.findByPrefix("ffffff"), []);
});

Deno.test("remove() removes what has ended, with its attempts and keys, and nothing else", () => {
  using t = openMemoryStore();
  const idempotency = { key: "k", requestHash: "h" };
  const { job } = t.store.insert({ job: makeJob(), idempotency });
  assert.equal(t.store.remove(job.id), false);
  t.claim(job.id);
  t.store.apply(job.id, { kind: "ended", attempt: 1, outcome: makeOutcome({ logBytes: 7 }) });
  const ended = t.store.ended({ after: undefined, limit: 9 });
  assert.deepEqual(ended.map(({ logBytes }) => logBytes), [7]);
  assert.deepEqual(t.store.ended({ after: ended[0], limit: 9 }), []);
  assert.equal(t.store.remove(job.id), true);
  assert.equal(t.store.has(job.id), false);
  assert.deepEqual(t.store.attempts(job.id), []);
  assert.equal(t.store.replayed(idempotency), undefined);
});

Deno.test("totals() keep what removed jobs used", () => {
  using t = openMemoryStore();
  for (let count = 0; count < 2; count++) {
    const { id } = t.add();
    t.claim(id);
    const outcome = makeOutcome({ usage: { cpuSeconds: 1.5, wallSeconds: 2 }, logBytes: 10 });
    t.store.apply(id, { kind: "ended", attempt: 1, outcome });
    t.store.remove(id);
  }
  assert.deepEqual(t.store.totals(), [{
    project: "web",
    state: "succeeded",
    reason: "exit_code",
    attempts: 2,
    wallSeconds: 4,
    cpuSeconds: 3,
    logBytes: 20,
  }]);
});

Deno.test("revision never goes back, also when the job that had the last is removed", () => {
  using t = openMemoryStore();
  const { id } = t.add();
  t.store.apply(id, {
    kind: "cancel_requested",
    cancel: { reason: "cancelled", by: "by request" },
    at: 1,
  });
  const { revision } = t.store;
  t.store.remove(id);
  const reopened = new JobStore({ db: t.db, ageingMs: 1, onChange() {} });
  assert.equal(reopened.revision, revision);
});

Deno.test("setIntakeMode() replaces and clears modes", () => {
  using t = openMemoryStore();
  t.store.setIntakeMode(projectName(), "paused");
  t.store.setIntakeMode(projectName(), "draining");
  t.store.setIntakeMode(ALL_PROJECTS, "paused");
  assert.deepEqual([...t.store.intakeModes()].sort(), [["*", "paused"], ["web", "draining"]]);
  t.store.setIntakeMode(projectName(), "open");
  assert.deepEqual([...t.store.intakeModes()], [["*", "paused"]]);
});

Deno.test("get() fails with store_corrupt for a row that no release wrote", () => {
  using t = openMemoryStore();
  const { id } = t.add();
  t.db.run("UPDATE jobs SET spec = '{' WHERE id = ?", id);
  assert.throws(() => t.store.get(id), code("store_corrupt"));
});

Deno.test("apply() rounds times, which another program measured, to whole milliseconds", () => {
  using t = openMemoryStore();
  const { id } = t.add();
  t.claim(id);
  const outcome = makeOutcome({ startedAt: 1.4, finishedAt: 2.6 });
  t.store.apply(id, { kind: "ended", attempt: 1, outcome });
  assert.equal(t.store.require(id).startedAt, 1);
  assert.equal(t.store.require(id).finishedAt, 3);
});

Deno.test("apply() stops a job whose cancel cannot be recorded, and says that it is not yet", () => {
  using t = openMemoryStore();
  const job = t.claim(t.add().id);
  const queued = t.add();
  const unrecorded: Job[] = [];
  const full = new JobStore({
    db: {
      ...t.db,
      transaction(_body, durability) {
        assert.equal(durability, "urgent");
        throw new CicdError("disk_full", "The disk is full");
      },
    },
    ageingMs: 60_000,
    onChange: () => assert.fail("nothing was stored"),
    onUnrecorded: (each) => unrecorded.push(each),
  });
  const cancel = { reason: "cancelled", by: "by request" } as const;
  const event = { kind: "cancel_requested", cancel, at: 1 } as const;
  assert.throws(() => full.apply(job.id, event), /is being stopped/);
  assert.deepEqual(unrecorded.map(({ id, cancel }) => [id, cancel]), [[job.id, cancel]]);
  assert.throws(() => full.apply(queued.id, event), /^CicdError: The disk is full/);
  assert.equal(unrecorded.length, 1);
});

Deno.test("apply() keeps the commit of an attempt, with a change of its own, until the next one", () => {
  using memory = openMemoryStore();
  const { store } = memory;
  const { id } = store.insert({ job: makeJob() }).job;
  const commit = "c".repeat(40);
  store.apply(id, { kind: "claimed", bootId: "b" });
  store.apply(id, { kind: "started", attempt: 1, at: 1 });
  const before = store.revision;
  assert.equal(store.apply(id, { kind: "checked_out", attempt: 1, commit }).kind, "changed");
  assert.equal(store.apply(id, { kind: "checked_out", attempt: 1, commit }).kind, "unchanged");
  assert.equal(store.revision, before + 1);
  assert.equal(store.list({ limit: 1 }).jobs[0]?.commit, commit);
  store.apply(id, { kind: "ended", attempt: 1, outcome: makeOutcome({ commit }) });
  assert.equal(store.require(id).commit, commit);
  assert.equal(toJobView(store.require(id)).commit, commit);
  store.apply(id, { kind: "retry_requested", at: 2 });
  assert.equal(toJobView(store.require(id)).commit, null);
});

Deno.test("counts() follows each change of a job, and forgets a state that no job is in", () => {
  using t = openMemoryStore();
  const counted = () =>
    t.store.counts().map(({ project, state, count }) => [project, state, count]);
  const first = t.add();
  t.add();
  t.add({ spec: makeSpec({ project: projectName("mobile") }) });
  assert.deepEqual(counted(), [["mobile", "queued", 1], ["web", "queued", 2]]);
  t.claim(first.id);
  assert.equal(t.store.queuedCount(), 2);
  assert.equal(t.store.inFlightCount(), 1);
  t.store.apply(first.id, { kind: "started", attempt: 1, at: 3 });
  t.store.apply(first.id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
  const ended = [["mobile", "queued", 1], ["web", "queued", 1], ["web", "succeeded", 1]];
  assert.deepEqual(counted(), ended);
  assert.throws(() =>
    t.store.insert({
      job: makeJob(),
      also() {
        throw new Error("rolled back");
      },
    })
  );
  assert.deepEqual(counted(), ended);
  t.store.remove(first.id);
  assert.deepEqual(counted(), ended.slice(0, 2));
});

Deno.test("list() finds the same jobs by label from few jobs and from many", () => {
  using t = openMemoryStore();
  const found = () => {
    const labels = [["team", "core"], ["kind", "lint"]] as const;
    const page = t.store.list({ project: projectName(), states: ["queued"], labels, limit: 2 });
    return { ids: page.jobs.map(({ id }) => id), more: page.more };
  };
  const labelled = (labels: Readonly<Record<string, string>>) =>
    t.add({ spec: makeSpec({ labels }) });
  const wanted = { team: "core", kind: "lint" };
  labelled(wanted);
  const [second, third] = [labelled(wanted), labelled({ ...wanted, more: "1" })];
  labelled({ team: "core" });
  t.claim(labelled(wanted).id);
  t.add({ spec: makeSpec({ project: projectName("mobile"), labels: wanted }) });
  const few = found();
  assert.deepEqual(few, { ids: [third.id, second.id], more: true });
  t.db.transaction(() =>
    t.db.run(
      `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2001)
       INSERT INTO jobs (id, project, state, attempt, retry_base, spec, rank, not_before, usage,
         created_at, revision)
       SELECT printf('00000000-0000-7000-8000-%012x', n), project, state, 0, 0, '{}', n, 0, '{}', 0,
         n + 1000 FROM numbers, jobs WHERE id = ?`,
      second.id,
    )
  );
  assert(t.store.queuedCount() > 2_000);
  assert.deepEqual(found(), few);
});

Deno.test("candidates() are the first jobs of each group and what else may start, after any changes", () => {
  const step = fc.record({
    kind: fc.constantFrom("add", "claim", "fail", "end", "cancel", "remove", "wait"),
    at: fc.nat(20),
    group: fc.constantFrom(undefined, "a", "b"),
    priority: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    using t = openMemoryStore();
    let now = 1_000;
    for (const { kind, at, group, priority } of steps) {
      now += kind === "wait" ? 70_000 : 1;
      const jobs = t.store.list({ limit: 100 }).jobs;
      const job = jobs[at % Math.max(1, jobs.length)];
      if (kind === "add") {
        const retries = { max: 3, on: ["failed"], delayMs: 60_000 } as const;
        const spec = makeSpec({ priority, retries, ...(group && { concurrencyGroup: group }) });
        t.add({ spec, createdAt: now, notBefore: now });
      } else if (job === undefined) continue;
      else if (kind === "claim" && job.state === "queued") t.claim(job.id);
      else if (kind === "cancel") {
        const cancel = { reason: "cancelled", by: "by request" } as const;
        t.store.apply(job.id, { kind: "cancel_requested", cancel, at: now });
      } else if (kind === "remove") t.store.remove(job.id);
      else if (kind === "fail" || kind === "end") {
        const outcome = makeOutcome({
          state: kind === "fail" ? "failed" : "succeeded",
          finishedAt: now,
        });
        t.store.apply(job.id, { kind: "ended", attempt: job.attempt, outcome });
      }
      assert.deepEqual(
        firstOfGroups(t.store.candidates(now, 100)[0]?.candidates ?? []),
        due(t.store, now),
      );
    }
  }));
});

function due(store: JobStore, now: number): readonly string[] {
  const groupOf = ({ spec: { concurrencyGroup: group } }: Job) => group;
  const held = new Set(store.inFlight().map(groupOf).filter((group) => group !== undefined));
  const jobs = store.list({ states: ["queued"], limit: 100 }).jobs
    .filter((job) => job.attempt === job.retryBase || job.notBefore <= now)
    .filter((job) => !held.has(groupOf(job) ?? ""))
    .map((job) => ({ id: job.id, rank: rankOf(job, 60_000), group: groupOf(job) }))
    .sort((a, b) => a.rank - b.rank || (a.id < b.id ? -1 : 1));
  return firstOfGroups(jobs);
}

function firstOfGroups(
  jobs: readonly { readonly id: string; readonly group?: string | undefined }[],
) {
  const seen = new Set<string>();
  return jobs.filter(({ group }) => group === undefined || seen.size < seen.add(group).size)
    .map(({ id }) => id);
}

Deno.test("insert() stores a job and its first attempt with one commit, if it may start at once", () => {
  using t = openMemoryStore();
  const claim = () => ({ kind: "claimed", bootId: "boot-1" }) as const;
  const commits = () => t.db.first("SELECT count FROM commits")?.["count"];
  const before = Number(commits());
  const { job } = t.store.insert({ job: makeJob(), claim });
  assert.equal(commits(), before + 1);
  assert.equal(job.state, "starting");
  assert.deepEqual(t.store.require(job.id), job);
  assert.equal(t.store.bootIdOf(job), "boot-1");
  assert.deepEqual(t.store.attempts(job.id).map(({ number, state }) => [number, state]), [[
    1,
    "starting",
  ]]);
  assert.deepEqual(t.changes.map(({ job: { state } }) => state), ["queued", "starting"]);
  assert.equal(t.store.insert({ job: makeJob(), claim: () => undefined }).job.state, "queued");
});

Deno.test("insert() asks for a claim only after the jobs of the group have been cancelled", () => {
  using t = openMemoryStore();
  const spec = makeSpec({ concurrencyGroup: "deploy", cancelInProgress: true });
  t.add({ spec });
  const queued: number[] = [];
  t.store.insert({
    job: makeJob({ spec }),
    claim() {
      queued.push(t.store.queuedCount());
      return undefined;
    },
  });
  assert.deepEqual(queued, [0]);
});
