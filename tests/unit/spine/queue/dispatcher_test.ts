import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import type { JobId } from "@lib/core/ids.ts";
import type { AttemptRunner, RunAttemptOptions } from "@lib/spine/queue/attempt_runner.ts";
import { Dispatcher } from "@lib/spine/queue/dispatcher.ts";
import { ALL_PROJECTS } from "@lib/spine/queue/queue_queries.ts";
import type { GroupSchedule } from "@lib/spine/queue/commit_group.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import type { AttemptOutcome, Job } from "@lib/spine/jobs/model.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import {
  makeJob,
  makeOutcome,
  makeSpec,
  type MemoryStore,
  openMemoryStore,
  projectName,
} from "../../../support/job_fixtures.ts";
import { RecordingLogger } from "../../../support/recording_logger.ts";

/** A runner whose attempts end when the test says so. */
class FakeRunner implements AttemptRunner {
  readonly runs: string[] = [];
  readonly stops: string[] = [];
  readonly aborted: string[] = [];
  readonly #ends = new Map<string, PromiseWithResolvers<AttemptOutcome>>();
  /** If set, `stop` resolves at once; otherwise it waits for its signal. */
  takesStops = true;
  /** If false, the agent cannot be reached: no attempt is reported as alive. */
  answers = true;
  /** The attempts that were given up; empty if `isBegun`. */
  readonly fenced: string[] = [];
  isBegun = false;

  /** Reported as the reason why the agent does not answer. */
  problem: string | undefined;

  refused: RunAttemptOptions["onRefused"] = () => undefined;
  /** Thrown instead of fencing. */
  cannotFence: Error | undefined;

  /** Reports what the agent does around the last job that was begun. */
  doing: RunAttemptOptions["onDoing"] = () => {};
  waiting: RunAttemptOptions["onWaiting"] = () => {};

  run(
    job: Job,
    { onStarted, onWaiting, onDoing, onRefused, signal }: RunAttemptOptions,
  ): Promise<AttemptOutcome> {
    const key = `${job.id}/${job.attempt}`;
    this.runs.push(key);
    const end = Promise.withResolvers<AttemptOutcome>();
    this.#ends.set(key, end);
    signal.addEventListener("abort", () => {
      this.aborted.push(key);
      end.reject(signal.reason);
    });
    this.doing = onDoing;
    this.refused = onRefused;
    this.waiting = onWaiting;
    onWaiting(this.problem);
    if (this.answers) onStarted();
    return end.promise;
  }

  fence(job: Job): boolean {
    if (this.cannotFence !== undefined) throw this.cannotFence;
    if (!this.isBegun) this.fenced.push(`${job.id}/${job.attempt}`);
    return !this.isBegun;
  }

  readonly kills: string[] = [];
  /** Thrown instead of killing. */
  cannotKill: Error | undefined;

  kill(job: Job): Promise<AttemptOutcome> {
    this.kills.push(`${job.id}/${job.attempt}`);
    if (this.cannotKill !== undefined) return Promise.reject(this.cannotKill);
    return Promise.resolve(makeOutcome({ state: "cancelled", reason: "cancelled" }));
  }

  stop(job: Job, signal: AbortSignal): Promise<void> {
    this.stops.push(`${job.id}/${job.attempt}`);
    if (this.takesStops) return Promise.resolve();
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason), { once: true })
    );
  }

  end(id: JobId, attempt = 1, outcome: Partial<AttemptOutcome> = {}): void {
    const end = this.#ends.get(`${id}/${attempt}`);
    assert(end !== undefined, "the attempt was not begun");
    end.resolve(makeOutcome(outcome));
  }
}

interface Bench extends MemoryStore, AsyncDisposable {
  readonly runner: FakeRunner;
  readonly clock: FakeClock;
  readonly log: RecordingLogger;
  readonly dispatcher: Dispatcher;
  readonly announced: readonly (readonly [JobId, string | undefined])[];
}

function setup(
  { maxRunning = 2, maxRunningOf = 9, before, wrap = (store) => store, diskProblem, schedule }: {
    readonly maxRunning?: number;
    readonly maxRunningOf?: number;
    /** Fills the store before the dispatcher starts. */
    readonly before?: (memory: MemoryStore) => void;
    readonly wrap?: (store: JobStore) => JobStore;
    readonly diskProblem?: () => string | undefined;
    readonly schedule?: GroupSchedule;
  } = {},
): Bench {
  const runner = new FakeRunner();
  const clock = new FakeClock();
  const log = new RecordingLogger();
  const listen: ((job: Job) => void)[] = [];
  const memory = openMemoryStore({
    onChange: (job) => listen.forEach((each) => each(job)),
    successors: (changes) => dispatcher.successors(changes),
    ...(schedule === undefined ? {} : { schedule }),
  });
  before?.(memory);
  const announced: (readonly [JobId, string | undefined])[] = [];
  const dispatcher = new Dispatcher({
    store: wrap(memory.store),
    runner,
    bootId: "boot-1",
    ...(diskProblem === undefined ? {} : { diskProblem }),
    onWaiting: (job) => announced.push([job.id, dispatcher.waitingReason(job)]),
    limits: () => ({
      maxRunning,
      maxProjects: 16,
      maxRunningOf: () => maxRunningOf,
      startTimeoutMs: 60_000,
      stopTimeoutMs: 20_000,
    }),
    clock,
    log,
  });
  listen.push((job) => dispatcher.onChange(job));
  dispatcher.start();
  return {
    ...memory,
    runner,
    clock,
    log,
    dispatcher,
    announced,
    async [Symbol.asyncDispose]() {
      await dispatcher[Symbol.asyncDispose]();
      memory[Symbol.dispose]();
    },
  };
}

const cancel = { reason: "cancelled", by: "by request" } as const;

Deno.test("Dispatcher starts a job, records that it runs, and how it ended", async () => {
  await using t = setup();
  const { id } = t.add();
  await t.clock.tick(0);
  assert.equal(t.store.require(id).state, "running");
  assert.equal(t.store.attempts(id)[0]?.number, 1);
  t.runner.end(id, 1, { exitCode: 0 });
  await t.clock.tick(0);
  assert.equal(t.store.require(id).state, "succeeded");
});

Deno.test("Dispatcher runs no more than the limit, and fills a place as soon as it is free", async () => {
  await using t = setup({ maxRunning: 2 });
  const jobs = [t.add(), t.add(), t.add()];
  await t.clock.tick(0);
  assert.equal(t.runner.runs.length, 2);
  t.runner.end(jobs[0]?.id ?? assert.fail());
  await t.clock.tick(0);
  assert.equal(t.runner.runs.length, 3);
});

Deno.test("claim() starts a new job at once if a slot is free and nothing else is queued", async () => {
  await using t = setup({ maxRunning: 2 });
  const submit = (changes: Partial<Job> = {}) =>
    t.store.insert({ job: makeJob(changes), claim: (job) => t.dispatcher.claim(job) }).job;
  const first = submit({ spec: makeSpec({ concurrencyGroup: "deploy" }) });
  assert.equal(first.state, "starting");
  // The agent is asked before anything else happens.
  assert.deepEqual(t.runner.runs, [`${first.id}/1`]);
  assert.equal(submit({ spec: makeSpec({ concurrencyGroup: "deploy" }) }).state, "queued");
  assert.equal(submit().state, "queued", "another job is before it");
  await t.clock.tick(0);
  assert.equal(t.runner.runs.length, 2);
  assert.equal(submit().state, "queued", "all slots are taken");
});

Deno.test("claim() leaves a job in the queue while it is paused, full or out of order", async () => {
  let problem: string | undefined;
  let isBroken = false;
  await using t = setup({
    maxRunningOf: 1,
    diskProblem: () => problem,
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          if (name === "nextNotBefore" && isBroken) throw new Error("broken");
          const value = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      }),
  });
  await t.clock.tick(0);
  const isClaimed = () => t.dispatcher.claim(makeJob()) !== undefined;
  assert(isClaimed());
  for (const mode of ["*", "web"] as const) {
    const project = mode === "*" ? ALL_PROJECTS : projectName(mode);
    t.store.setIntakeMode(project, "paused");
    assert(!isClaimed(), mode);
    t.store.setIntakeMode(project, "open");
  }
  problem = "full";
  assert(!isClaimed());
  problem = undefined;
  isBroken = true;
  t.dispatcher.wake();
  await t.clock.tick(0);
  assert(!isClaimed());
  isBroken = false;
  await t.clock.tick(200);
  assert(isClaimed());
  t.add();
  await t.clock.tick(0);
  assert(!isClaimed(), "the project's only slot is taken");
});

Deno.test("an end is recorded even if the job that would take its place cannot be read", async () => {
  await using t = setup({ maxRunning: 1 });
  const first = t.add();
  await t.clock.tick(0);
  const second = t.add();
  t.db.run("UPDATE jobs SET usage = 'torn' WHERE id = ?", second.id);
  t.runner.end(first.id);
  await t.clock.tick(0);
  assert.equal(t.store.require(first.id).state, "succeeded");
  t.db.run("UPDATE jobs SET usage = '{}' WHERE id = ?", second.id);
  await t.clock.tick(10_000);
  assert.equal(t.store.require(second.id).state, "running");
});

Deno.test("Dispatcher respects a project's own limit", async () => {
  await using t = setup({ maxRunning: 4, maxRunningOf: 1 });
  t.add();
  t.add();
  t.add({ spec: makeSpec({ project: projectName("other") }) });
  await t.clock.tick(0);
  assert.equal(t.runner.runs.length, 2);
});

Deno.test("Dispatcher fills every place at once when a group hides what is behind it", async () => {
  await using t = setup({ maxRunning: 2 });
  for (let count = 0; count < 4; count++) t.add({ spec: makeSpec({ concurrencyGroup: "deploy" }) });
  t.add();
  await t.clock.tick(0);
  assert.equal(t.runner.runs.length, 2);
});

Deno.test("Dispatcher retries according to the policy, and not before the delay", async () => {
  await using t = setup();
  const { id } = t.add({ spec: makeSpec({ retries: { max: 1, on: ["failed"], delayMs: 3_000 } }) });
  await t.clock.tick(0);
  t.runner.end(id, 1, { state: "failed", finishedAt: 0 });
  await t.clock.tick(2_999);
  assert.deepEqual(t.runner.runs, [`${id}/1`]);
  await t.clock.tick(2);
  assert.deepEqual(t.runner.runs, [`${id}/1`, `${id}/2`]);
  t.runner.end(id, 2, { state: "failed", exitCode: 4 });
  await t.clock.tick(0);
  assert.equal(t.store.require(id).state, "failed");
});

Deno.test("Dispatcher starts nothing while the queue is held, and all when it is not", async () => {
  await using t = setup({ before: ({ store }) => store.setIntakeMode(ALL_PROJECTS, "paused") });
  t.add();
  await t.clock.tick(10_000);
  assert.deepEqual(t.runner.runs, []);
  t.store.setIntakeMode(ALL_PROJECTS, "open");
  t.dispatcher.wake();
  await t.clock.tick(0);
  assert.equal(t.runner.runs.length, 1);
});

Deno.test("Dispatcher asks for a stop once, however often a cancel is asked for", async () => {
  await using t = setup();
  const { id } = t.add();
  await t.clock.tick(0);
  for (let count = 0; count < 3; count++) {
    t.store.apply(id, { kind: "cancel_requested", cancel, at: count });
  }
  await t.clock.tick(0);
  assert.deepEqual(t.runner.stops, [`${id}/1`]);
});

Deno.test("Dispatcher gives up a stop when the attempt has ended by itself", async () => {
  await using t = setup();
  t.runner.takesStops = false;
  const { id } = t.add();
  await t.clock.tick(0);
  t.store.apply(id, { kind: "cancel_requested", cancel, at: 1 });
  await t.clock.tick(0);
  t.runner.end(id, 1, { state: "cancelled", reason: "cancelled" });
  await t.clock.tick(0);
  assert.equal(t.store.require(id).state, "cancelled");
  assert.deepEqual(t.log.of("error"), []);
});

Deno.test("Dispatcher settles a cancel at once, without the agent, if no agent has answered", async () => {
  await using t = setup({ maxRunning: 1 });
  t.runner.answers = false;
  const { id } = t.add();
  await t.clock.tick(0);
  t.store.apply(id, { kind: "cancel_requested", cancel, at: 1 });
  assert.equal(t.store.require(id).state, "cancelled");
  assert.match(t.store.require(id).message ?? "", /before the start/);
  assert.deepEqual(t.runner.fenced, [`${id}/1`]);
  assert.deepEqual(t.runner.stops, []);
  t.add();
  await t.clock.tick(0);
  assert.deepEqual(t.runner.aborted, [`${id}/1`]);
  assert.equal(t.runner.runs.length, 2, "its slot is free");
  assert.deepEqual(t.log.of("error"), []);
});

Deno.test("Dispatcher does not begin an attempt again that it gave up while its commit was told of", async () => {
  const due: (() => void)[] = [];
  const soon = (store: () => void) => void due.push(store);
  await using t = setup({ schedule: { soon, later: soon } });
  t.runner.answers = false;
  const spec = makeSpec({ concurrencyGroup: "deploy", cancelInProgress: true });
  const { id } = t.add({ spec });
  await t.clock.tick(0);
  void t.store.insertSoon({ job: makeJob({ spec }) });
  void t.store.applySoon(id, { kind: "checked_out", attempt: 1, commit: "c0ffee" });
  for (const store of due) store();
  assert.equal(t.store.require(id).state, "cancelled");
  assert.equal(t.changes.findLast(({ job }) => job.id === id)?.job.state, "cancelled");
  await t.clock.tick(0);
  assert.equal(t.runner.runs.filter((run) => run === `${id}/1`).length, 1);
  assert.deepEqual(t.runner.stops, []);
});

Deno.test("Dispatcher ends an attempt that no agent answers for in time, and retries by the policy", async () => {
  await using t = setup();
  t.runner.answers = false;
  t.runner.problem = "its unit failed";
  const { id } = t.add({ spec: makeSpec({ retries: { max: 1, on: ["failed"], delayMs: 0 } }) });
  await t.clock.tick(59_000);
  const waiting = t.store.require(id);
  assert.equal(waiting.state, "starting");
  assert.equal(t.dispatcher.waitingReason(waiting), "waiting for the agent: its unit failed");
  await t.clock.tick(1_100);
  assert.deepEqual(t.runner.fenced, [`${id}/1`]);
  assert.deepEqual(t.runner.runs, [`${id}/1`, `${id}/2`]);
  await t.clock.tick(60_100);
  const ended = t.store.require(id);
  assert.deepEqual([ended.state, ended.reason], ["failed", "start_failed"]);
  assert.match(ended.message ?? "", /did not answer within 1m: its unit failed/);
  assert.equal(t.dispatcher.waitingReason(ended), undefined);
  assert.equal(t.clock.sleeping, 2, "only the queue and the reasons");
});

Deno.test("Dispatcher waits for an attempt that has begun, and says so", async () => {
  await using t = setup();
  t.runner.answers = false;
  t.runner.isBegun = true;
  const { id } = t.add();
  await t.clock.tick(60_100);
  assert.equal(t.store.require(id).state, "starting");
  assert.equal(t.log.of("warning").length, 1);
});

Deno.test("waitingReason() names limits and a paused queue, and nothing for a job that runs", async () => {
  await using t = setup({ maxRunning: 2, maxRunningOf: 1 });
  const spec = makeSpec({ concurrencyGroup: "deploy" });
  const running = t.add({ spec });
  await t.clock.tick(0);
  const reasonOf = (job: Job) => t.dispatcher.waitingReason(t.store.require(job.id));
  assert.equal(reasonOf(running), undefined);
  const queued = t.add();
  assert.equal(reasonOf(queued), "1 of 1 jobs of its project are running (max_running)");
  const grouped = t.add({ spec });
  const holder = `job ${running.id} of its concurrency group "deploy" is running`;
  assert.equal(reasonOf(grouped), holder);
  t.add({ spec: makeSpec({ project: projectName("other") }) });
  await t.clock.tick(0);
  assert.equal(reasonOf(queued), "2 of 2 jobs are running (queue.max_running)");
  t.store.setIntakeMode(queued.spec.project, "paused");
  assert.equal(t.dispatcher.waitingReason(queued), "its project is paused");
  t.store.setIntakeMode(ALL_PROJECTS, "paused");
  assert.equal(t.dispatcher.waitingReason(queued), "the queue is paused");
});

Deno.test("waitingReason() names what the agent does around a job, and an agent that fell silent", async () => {
  await using t = setup();
  const { id } = t.add();
  await t.clock.tick(0);
  const reason = () => t.dispatcher.waitingReason(t.store.require(id));
  t.runner.doing("getting the image");
  assert.equal(reason(), "getting the image");
  t.runner.doing(undefined);
  t.runner.waiting("its unit failed");
  assert.match(reason() ?? "", /^the agent has been silent since 1970-.*Z: its unit failed$/);
});

Deno.test("Dispatcher announces each changed reason, at most once a second", async () => {
  await using t = setup();
  const { id } = t.add();
  await t.clock.tick(1_000);
  for (const image of ["a", "b", "c"]) t.runner.doing(`getting the image ${image}`);
  await t.clock.tick(900);
  t.runner.doing("getting the image d");
  await t.clock.tick(1_000);
  t.runner.doing(undefined);
  await t.clock.tick(1_000);
  assert.deepEqual(t.announced, [
    [id, "getting the image c"],
    [id, "getting the image d"],
    [id, undefined],
  ]);
});

Deno.test("Dispatcher stops an attempt through the agent once it has begun", async () => {
  await using t = setup();
  t.runner.answers = false;
  t.runner.isBegun = true;
  const { id } = t.add();
  await t.clock.tick(0);
  t.store.apply(id, { kind: "cancel_requested", cancel, at: 1 });
  await t.clock.tick(0);
  assert.equal(t.store.require(id).state, "starting");
  assert.deepEqual(t.runner.stops, [`${id}/1`]);
});

Deno.test("Dispatcher never fences an attempt that an agent has answered for", async () => {
  await using t = setup();
  const { id } = t.add();
  await t.clock.tick(0);
  t.store.apply(id, { kind: "cancel_requested", cancel, at: 1 });
  await t.clock.tick(0);
  assert.deepEqual(t.runner.fenced, []);
  assert.deepEqual(t.runner.stops, [`${id}/1`]);
});

Deno.test("start() joins what an earlier process left under way, and its cancels", async () => {
  let left: Job | undefined;
  await using t = setup({
    before(memory) {
      left = memory.claim(memory.add().id);
      memory.store.apply(left.id, { kind: "cancel_requested", cancel, at: 1 });
      memory.add();
    },
  });
  await t.clock.tick(0);
  assert(left !== undefined);
  assert.equal(t.runner.runs[0], `${left.id}/1`);
  assert.deepEqual(t.runner.stops, [`${left.id}/1`]);
  assert.equal(t.runner.runs.length, 2);
});

Deno.test("start() counts what it joins against the limit", async () => {
  await using t = setup({
    maxRunning: 1,
    before(memory) {
      memory.claim(memory.add().id);
      memory.add();
    },
  });
  await t.clock.tick(10_000);
  assert.equal(t.runner.runs.length, 1);
});

Deno.test("Dispatcher retries to record an end, and does not run the attempt again", async () => {
  let failures = 5;
  await using t = setup({
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          if (name !== "applySoon") {
            const value = Reflect.get(target, name);
            return typeof value === "function" ? value.bind(target) : value;
          }
          return async (...args: Parameters<JobStore["applySoon"]>) => {
            if (args[1].kind === "ended" && failures-- > 0) {
              throw new CicdError("disk_full", "Full");
            }
            return await target.applySoon(...args);
          };
        },
      }),
  });
  const { id } = t.add();
  await t.clock.tick(0);
  t.runner.end(id);
  await t.clock.tick(0);
  assert.equal(t.store.require(id).state, "running");
  await t.clock.tick(60_000);
  assert.equal(t.store.require(id).state, "succeeded");
  assert.deepEqual(t.runner.runs, [`${id}/1`]);
});

Deno.test("Dispatcher claims the next job in the transaction that records an end", async () => {
  await using t = setup({ maxRunning: 1 });
  const [first, second, third] = [t.add(), t.add({ createdAt: 1 }), t.add({ createdAt: 2 })];
  await t.clock.tick(0);
  t.changes.splice(0);
  t.runner.end(first.id);
  await t.clock.tick(0);
  const told = t.changes.map(({ job }) => [job.id, job.state]);
  assert.deepEqual(told.slice(0, 2), [[first.id, "succeeded"], [second.id, "starting"]]);
  assert.equal(t.store.require(third.id).state, "queued");
});

Deno.test("Dispatcher claims no successor that may not start", async () => {
  const isFull = { now: false };
  await using t = setup({
    maxRunning: 1,
    diskProblem: () => isFull.now ? "the disk is full" : undefined,
  });
  const [first, second] = [t.add(), t.add({ createdAt: 1 })];
  await t.clock.tick(0);
  isFull.now = true;
  t.runner.end(first.id);
  await t.clock.tick(0);
  assert.equal(t.store.require(first.id).state, "succeeded");
  assert.equal(t.store.require(second.id).state, "queued");
  isFull.now = false;
  await t.clock.tick(5_000);
  assert.equal(t.store.require(second.id).state, "running");
  t.store.setIntakeMode(ALL_PROJECTS, "paused");
  const third = t.add({ createdAt: 2 });
  t.runner.end(second.id);
  await t.clock.tick(0);
  assert.equal(t.store.require(third.id).state, "queued");
});

Deno.test("Dispatcher claims successors of a concurrency group one after another", async () => {
  await using t = setup({ maxRunning: 2 });
  const spec = makeSpec({ concurrencyGroup: "deploy" });
  const [first, second, third] = [0, 1, 2].map((createdAt) => t.add({ createdAt, spec }));
  await t.clock.tick(0);
  assert(first !== undefined && second !== undefined && third !== undefined);
  t.runner.end(first.id);
  await t.clock.tick(0);
  assert.equal(t.store.require(second.id).state, "running");
  assert.equal(t.store.require(third.id).state, "queued");
});

Deno.test("claim() counts the jobs that the same transaction claims", async () => {
  await using t = setup({ maxRunning: 2 });
  await t.clock.tick(0);
  const claimed = (spec = makeSpec()) => makeJob({ state: "starting", attempt: 1, spec });
  const [one, other] = [claimed(), claimed()];
  assert.equal(t.dispatcher.claim(makeJob(), [[one, undefined]])?.kind, "claimed");
  assert.equal(t.dispatcher.claim(makeJob(), [[one, undefined], [other, undefined]]), undefined);
  const spec = makeSpec({ concurrencyGroup: "deploy" });
  assert.equal(t.dispatcher.claim(makeJob({ spec }), [[claimed(spec), undefined]]), undefined);
});

Deno.test("unreadyReason() names what keeps the queue from running, without calling it unhealthy", async () => {
  let broken = true;
  await using t = setup({
    wrap: (store) =>
      new Proxy(store, {
        get(target, name) {
          if (name === "candidates" && broken) throw new CicdError("disk_full", "The disk is full");
          const value = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      }),
  });
  const { id } = t.add();
  await t.clock.tick(0);
  assert.match(t.dispatcher.unreadyReason() ?? "", /disk is full/);
  assert.equal(t.dispatcher.unhealthyReason(), undefined);
  broken = false;
  await t.clock.tick(10_000);
  assert.equal(t.dispatcher.unreadyReason(), undefined);
  assert.equal(t.store.require(id).state, "running");
});

Deno.test("Dispatcher starts nothing while the disk is full, says so once, and goes on by itself", async () => {
  let problem: string | undefined = "the disk is full: 0 B free";
  await using t = setup({ diskProblem: () => problem });
  const { id } = t.add();
  await t.clock.tick(20_000);
  assert.match(t.dispatcher.waitingReason(t.store.require(id)) ?? "", /disk is full/);
  assert.deepEqual(t.runner.runs, []);
  assert.equal(t.log.of("error").length, 1);
  problem = undefined;
  await t.clock.tick(10_000);
  assert.deepEqual(t.runner.runs, [`${id}/1`]);
});

Deno.test("disposing leaves running jobs as they are", async () => {
  const t = setup();
  const { id } = t.add();
  await t.clock.tick(0);
  await t.dispatcher[Symbol.asyncDispose]();
  assert.equal(t.store.require(id).state, "running");
  assert.deepEqual(t.runner.stops, []);
  assert.deepEqual(t.runner.aborted, [`${id}/1`]);
  assert.equal(t.clock.sleeping, 0);
  t[Symbol.dispose]();
});

Deno.test("Dispatcher stops an attempt itself if its agent does not take the stop in time", async () => {
  await using t = setup();
  t.runner.takesStops = false;
  const { id } = t.add();
  await t.clock.tick(0);
  t.store.apply(id, { kind: "cancel_requested", cancel, at: 1 });
  t.runner.cannotKill = new CicdError("systemd_unavailable", "No bus");
  await t.clock.tick(20_000);
  const reason = t.dispatcher.waitingReason(t.store.require(id));
  assert.equal(reason, "it cannot be stopped: No bus");
  t.runner.cannotKill = undefined;
  await t.clock.tick(20_000);
  assert.equal(t.store.require(id).state, "cancelled");
  assert.equal(t.runner.kills.length, 2);
  assert.deepEqual(t.runner.aborted, [`${id}/1`]);
});

Deno.test("Dispatcher stops an attempt itself if its agent falls silent after it took the stop", async () => {
  await using t = setup();
  const { id } = t.add();
  await t.clock.tick(0);
  t.store.apply(id, { kind: "cancel_requested", cancel, at: 1 });
  await t.clock.tick(60_000);
  assert.deepEqual(t.runner.kills, []);
  t.runner.waiting("its unit failed");
  await t.clock.tick(20_000);
  assert.equal(t.store.require(id).state, "cancelled");
});

Deno.test("Dispatcher ends an attempt that cannot be fenced once its agent has refused it", async () => {
  for (const isCancelled of [false, true]) {
    await using t = setup();
    t.runner.answers = false;
    t.runner.cannotFence = new Error("Permission denied");
    const { id } = t.add();
    await t.clock.tick(0);
    assert.equal(t.runner.refused(), undefined);
    if (isCancelled) t.store.apply(id, { kind: "cancel_requested", cancel, at: 1 });
    await t.clock.tick(isCancelled ? 0 : 60_000);
    const job = t.store.require(id);
    assert.equal(job.state, "starting");
    assert.match(
      t.dispatcher.waitingReason(job) ?? "",
      /; it cannot be given up: Permission denied/,
    );
    const outcome = t.runner.refused() ?? assert.fail();
    assert.equal(outcome.reason, isCancelled ? "cancelled" : "start_failed");
    t.runner.end(id, 1, outcome);
    await t.clock.tick(0);
    assert.equal(t.store.require(id).reason, outcome.reason);
  }
});
