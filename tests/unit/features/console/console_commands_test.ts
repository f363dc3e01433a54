import assert from "node:assert/strict";
import { TaskGroup } from "@lib/core/task_group.ts";
import type { AllowRules } from "@lib/features/console/allow_keys.ts";
import { ConsoleCommands } from "@lib/features/console/console_commands.ts";
import { Refusals } from "@lib/features/console/refusals.ts";
import { JobEvents } from "@lib/spine/jobs/job_events.ts";
import type { AttemptOutcome, Job } from "@lib/spine/jobs/model.ts";
import { submitJobSoon } from "@lib/spine/queue/submit.ts";
import { plainDefaults } from "../../../support/api_fixture.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { makeOutcome, openMemoryStore, projectName } from "../../../support/job_fixtures.ts";
import { RecordingLogger } from "../../../support/recording_logger.ts";

type Fields = Readonly<Record<string, unknown>>;

const never = new AbortController().signal;

/** Commands on a queue in memory, whose jobs the test starts and ends. */
function setup({ logs = {}, rules = {} }: {
  readonly logs?: { readonly stdout?: Uint8Array; readonly stderr?: Uint8Array };
  readonly rules?: Partial<AllowRules>;
} = {}) {
  const clock = new FakeClock();
  const events = new JobEvents();
  const memory = openMemoryStore({ onChange: (job, before) => events.publish(job, before) });
  const { store } = memory;
  const log = new RecordingLogger();
  const failures: unknown[] = [];
  const tasks = new TaskGroup({ onFailure: (_, error) => failures.push(error) });
  const refusals = new Refusals(log);
  const submit = {
    store,
    clock,
    intake: { assertOpen() {}, assertRoom() {}, assertDisk() {} },
    defaultsOf: plainDefaults,
    seal: () => new Uint8Array(),
  };
  const sent: Fields[] = [];
  const commands = new ConsoleCommands({
    rules: () => ({
      terminals: false,
      scripts: true,
      commands: ["*"],
      projects: [projectName()],
      ...rules,
    }),
    jobs: {
      store,
      events,
      logs: {
        size: (_, stream) => Promise.resolve(logs[stream ?? "stdout"]?.length ?? 0),
        read: (_, { to, stream }) => ({
          offset: 0,
          async *[Symbol.asyncIterator]() {
            yield await Promise.resolve(
              (logs[stream ?? "stdout"] ?? new Uint8Array()).slice(0, to),
            );
          },
        }),
      },
      submitSoon: (body, options) => submitJobSoon(submit, body, options),
      startExpected() {},
      waitingReason: () => undefined,
    },
    refusals,
    tasks,
    clock,
    log,
  });
  const channel = {
    send: (_type: string, payload: Fields) => void sent.push(payload),
    bufferedBytes: 0,
    drained: () => Promise.resolve(),
  };
  return {
    clock,
    store,
    commands,
    refusals,
    failures,
    sent,
    jobs: () => store.list({ limit: 100 }).jobs,
    async dispatch(id: string, fields: Fields = {}): Promise<Job | undefined> {
      const payload = { command_id: id, command: "true", timeout_ms: 10_000, ...fields };
      await commands.handle({ type: "command:dispatch", payload }, channel);
      await clock.tick(0);
      return store.list({ limit: 1 }).jobs[0];
    },
    async begin({ id }: Job): Promise<void> {
      memory.claim(id);
      store.apply(id, { kind: "started", attempt: 1, at: clock.now() });
      await clock.tick(0);
    },
    async finish({ id }: Job, outcome: Partial<AttemptOutcome> = {}): Promise<void> {
      store.apply(id, { kind: "ended", attempt: 1, outcome: makeOutcome(outcome) });
      await clock.tick(0);
    },
    async [Symbol.asyncDispose]() {
      await tasks[Symbol.asyncDispose]();
      memory[Symbol.dispose]();
    },
  };
}

function required(job: Job | undefined): Job {
  assert.ok(job !== undefined);
  return job;
}

Deno.test("ConsoleCommands answers with the exit code and both streams of a job", async () => {
  const text = (one: string) => new TextEncoder().encode(one);
  await using t = setup({ logs: { stdout: text("out é"), stderr: text("err") } });
  const job = required(await t.dispatch("a", { env: ["A=b"] }));
  assert.deepEqual(job.spec.work, { kind: "command", argv: ["/bin/bash", "-c", "true"] });
  assert.deepEqual([job.spec.env, job.spec.timeoutMs, job.spec.output], [
    { A: "b" },
    10_000,
    "split",
  ]);
  await t.begin(job);
  await t.clock.tick(1_500);
  await t.finish(job, { state: "failed", exitCode: 3 });
  assert.deepEqual(t.sent, [
    { command_id: "a", stdout: "out é", stderr: "err", exit_code: 3, duration_ms: 1_500 },
  ]);
});

Deno.test("ConsoleCommands answers with -1 and the reason where no program has exited", async () => {
  await using t = setup();
  const ends: readonly (readonly [Partial<AttemptOutcome>, RegExp])[] = [
    [{ state: "timed_out", reason: "timeout", message: "Too late", exitCode: 143 }, /Too late/],
    [{ state: "failed", reason: "signal", message: "Killed by SIGKILL" }, /SIGKILL/],
    [{ state: "cancelled", reason: "cancelled", message: "Cancelled by request" }, /Cancelled/],
    [{ state: "lost", reason: "agent_lost", message: "Lost" }, /Lost/],
  ];
  for (const [index, [outcome, reason]] of ends.entries()) {
    const job = required(await t.dispatch(`c${index}`));
    await t.begin(job);
    await t.finish(job, outcome);
    const result = t.sent.at(-1);
    assert.equal(result?.["exit_code"], -1);
    assert.match(String(result?.["stderr"]), reason);
  }
});

Deno.test("ConsoleCommands cuts long output between characters, and says where the rest is", async () => {
  const stdout = new TextEncoder().encode(`x${"é".repeat(1024 * 1024)}`);
  await using t = setup({ logs: { stdout } });
  const job = required(await t.dispatch("a"));
  await t.begin(job);
  await t.finish(job);
  const [result] = t.sent;
  assert.equal(result?.["stdout"], `x${"é".repeat(512 * 1024 - 1)}`);
  assert.match(String(result?.["stderr"]), /1048577 more bytes are in the log of job/);
  assert.equal(result?.["exit_code"], 0);
});

Deno.test("ConsoleCommands cancels a command that has not begun in time, and answers", async () => {
  await using t = setup();
  const job = required(await t.dispatch("a"));
  await t.clock.tick(10_000);
  assert.equal(t.store.require(job.id).state, "cancelled");
  assert.match(String(t.sent[0]?.["stderr"]), /did not start within 10 s/);
  assert.equal(t.sent[0]?.["exit_code"], -1);
});

Deno.test("ConsoleCommands answers within the console's patience though the job does not end", async () => {
  await using t = setup();
  const job = required(await t.dispatch("a"));
  await t.begin(job);
  await t.clock.tick(10_000);
  assert.deepEqual(t.sent, []);
  await t.clock.tick(3_500);
  assert.match(String(t.sent[0]?.["stderr"]), /does not end/);
  assert.equal(t.store.require(job.id).cancel?.reason, "cancelled");
  // Its end is no second answer.
  await t.finish(job);
  assert.equal(t.sent.length, 1);
});

Deno.test("ConsoleCommands stops a command that began late when its time is over", async () => {
  await using t = setup();
  const job = required(await t.dispatch("a"));
  await t.clock.tick(6_000);
  await t.begin(job);
  await t.clock.tick(4_000);
  assert.equal(t.store.require(job.id).cancel?.by, "by the console link");
  await t.finish(job, { state: "cancelled", reason: "cancelled" });
  assert.match(String(t.sent[0]?.["stderr"]), /10 s include its wait for a turn/);
  assert.equal(t.sent[0]?.["exit_code"], -1);
});

Deno.test("ConsoleCommands goes on after its connection, and stops when no other follows", async () => {
  await using t = setup();
  const job = required(await t.dispatch("a"));
  await t.begin(job);
  await t.commands.close("the link has ended", never, false);
  assert.equal(t.store.require(job.id).cancel, undefined);
  const closing = t.commands.close("agent shutdown", never, true);
  await t.clock.tick(0);
  assert.equal(t.store.require(job.id).cancel?.by, "by the console link");
  await t.finish(job, { state: "cancelled", reason: "cancelled" });
  await closing;
  assert.match(String(t.sent[0]?.["stderr"]), /stopped: agent shutdown/);
});

Deno.test("ConsoleCommands runs an id once, whether it runs, has ended, or comes with other work", async () => {
  await using t = setup();
  const job = required(await t.dispatch("a"));
  await t.dispatch("a");
  await t.begin(job);
  await t.finish(job);
  assert.equal(t.sent.length, 1);
  await t.dispatch("a");
  assert.equal(t.sent.length, 2);
  await t.dispatch("a", { command: "false" });
  assert.equal(t.sent[2]?.["exit_code"], -1);
  assert.equal(t.jobs().length, 1);
});

Deno.test("ConsoleCommands refuses what is not allowed, unusable, invalid or too much", async () => {
  await using t = setup();
  await t.dispatch("other", { project: "other" });
  assert.equal(t.sent.at(-1)?.["exit_code"], 126);
  await t.dispatch("bad", { args: "x" });
  assert.equal(t.sent.at(-1)?.["exit_code"], -1);
  await t.dispatch("name", { env: ["A-B=c"] });
  assert.match(String(t.sent.at(-1)?.["stderr"]), /A-B.*is not a variable name/);
  await t.dispatch("long", { command: "x".repeat(1024 * 1024) });
  assert.match(String(t.sent.at(-1)?.["stderr"]), /at most 131071/);
  assert.deepEqual(t.jobs(), []);
  for (let count = 0; count < 20; count++) await t.dispatch(`c${count}`);
  assert.equal(t.jobs().length, 16);
  assert.match(String(t.sent.at(-1)?.["stderr"]), /16 of the console are running/);
  assert.equal(t.sent.length, 4 + 4);
  assert.deepEqual(t.failures, []);
});
