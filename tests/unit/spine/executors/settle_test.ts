import assert from "node:assert/strict";
import fc from "fast-check";
import { newJobId } from "@lib/core/ids.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import type { MainEnd, ResultRecord } from "@lib/spine/executors/result_record.ts";
import { type Evidence, settle, settleNeverBegun } from "@lib/spine/executors/settle.ts";
import { makeSpec } from "../../../support/job_fixtures.ts";

const T0 = 1_000_000;

function spec(overrides: Partial<JobSpec> = {}): JobSpec {
  return makeSpec({
    work: { kind: "command", argv: ["make", "all"] },
    graceMs: 10_000,
    logMaxBytes: 1_000,
    ...overrides,
  });
}

const exited = (exitCode: number): MainEnd => ({ kind: "exited", exitCode });
const killed = (signal: string, dumped = false): MainEnd => ({ kind: "killed", signal, dumped });

function evidence(
  record: Partial<ResultRecord> & { readonly end: MainEnd } | undefined,
  overrides: Partial<Evidence> = {},
): Evidence {
  return {
    spec: spec(),
    startedAt: T0,
    finishedAt: T0 + 5_000,
    logBytes: 42,
    monitor: "the service manager",
    ...(record === undefined
      ? {}
      : { result: { kind: "record", record: { serviceResult: "success", ...record } } as const }),
    ...overrides,
  };
}

function stop(
  at: number,
  reason: "cancelled" | "superseded" | "timeout" = "cancelled",
): Pick<Evidence, "stop"> {
  return { stop: { why: { reason, by: "by request" }, at } };
}

interface Case {
  readonly when: string;
  readonly given: Evidence;
  readonly then: readonly [AttemptOutcome["state"], AttemptOutcome["reason"], RegExp];
}

const GB = 1024 ** 3;

const CASES: readonly Case[] = [
  {
    when: "exited with 0",
    given: evidence({ end: exited(0) }),
    then: ["succeeded", "exit_code", /^Exited with code 0$/],
  },
  {
    when: "exited with 3",
    given: evidence({ end: exited(3), serviceResult: "exit-code" }),
    then: ["failed", "exit_code", /^Exited with code 3$/],
  },
  {
    when: "ended by SIGTERM from outside, which systemd calls success",
    given: evidence({ end: killed("SIGTERM") }),
    then: ["failed", "signal", /^Ended by SIGTERM$/],
  },
  {
    when: "dumped core",
    given: evidence({ end: killed("SIGSEGV", true), serviceResult: "core-dump" }),
    then: ["failed", "signal", /SIGSEGV, core dumped/],
  },
  {
    when: "ran into its time limit",
    given: evidence({ end: killed("SIGTERM"), serviceResult: "timeout", mainRunMs: 60_001 }),
    then: ["timed_out", "timeout", /time limit of 1m/],
  },
  {
    when: "left something behind that outlived the grace",
    given: evidence({ end: exited(0), serviceResult: "timeout", mainRunMs: 200 }),
    then: ["succeeded", "exit_code", /code 0/],
  },
  {
    when: "cancelled and exited with 0",
    given: evidence({ end: exited(0) }, stop(T0 + 4_000)),
    then: ["cancelled", "cancelled", /^Cancelled by request$/],
  },
  {
    when: "superseded and killed after its grace",
    given: evidence(
      { end: killed("SIGKILL"), serviceResult: "timeout", mainRunMs: 70_000 },
      stop(T0 + 4_000, "superseded"),
    ),
    then: ["cancelled", "superseded", /Superseded by .*grace period of 10s/],
  },
  {
    when: "stopped for its time by the supervisor",
    given: evidence({ end: killed("SIGTERM") }, stop(T0 + 4_000, "timeout")),
    then: ["timed_out", "timeout", /time limit/],
  },
  {
    when: "ended before the cancel was written",
    given: evidence({ end: exited(0) }, stop(T0 + 5_001)),
    then: ["succeeded", "exit_code", /code 0/],
  },
  {
    when: "cancelled while its time limit was ending it",
    given: evidence(
      { end: killed("SIGKILL"), serviceResult: "timeout", mainRunMs: 65_000 },
      { ...stop(T0 + 62_000), finishedAt: T0 + 70_000 },
    ),
    then: ["timed_out", "timeout", /time limit/],
  },
  {
    when: "killed at its memory limit",
    given: evidence(
      { end: killed("SIGKILL"), serviceResult: "oom-kill", oomKills: 1, memoryPeakBytes: GB },
      { spec: spec({ limits: { memoryBytes: GB } }) },
    ),
    then: [
      "failed",
      "oom_killed",
      /^Out of memory: killed at its 1G limit; it used 1G at its peak$/,
    ],
  },
  {
    when: "killed for memory while systemd only saw the signal",
    given: evidence({ end: killed("SIGKILL"), serviceResult: "signal", oomKills: 1 }),
    then: ["failed", "oom_killed", /^Out of memory: the project or the machine ran out$/],
  },
  {
    when: "killed for memory far below its own limit",
    given: evidence(
      { end: killed("SIGKILL"), serviceResult: "oom-kill", memoryPeakBytes: GB / 4 },
      { spec: spec({ limits: { memoryBytes: GB } }) },
    ),
    then: [
      "failed",
      "oom_killed",
      /or the machine ran out; it used 256M at its peak, of its 1G limit$/,
    ],
  },
  {
    when: "failed after a child of it was killed for memory",
    given: evidence({ end: exited(2), serviceResult: "oom-kill", oomKills: 1 }),
    then: [
      "failed",
      "exit_code",
      /code 2, after some of its processes ran out of memory: the project/,
    ],
  },
  {
    when: "failed after it could not fork, at its own limit",
    given: evidence(
      { end: exited(2), serviceResult: "exit-code", refusedTasks: 3 },
      { spec: spec({ limits: { tasks: 8 } }) },
    ),
    then: [
      "failed",
      "exit_code",
      /^Exited with code 2, after it was refused new processes or threads at its limit of 8 tasks$/,
    ],
  },
  {
    when: "aborted after it could not make a thread, at the project's limit",
    given: evidence({ end: killed("SIGABRT", true), serviceResult: "core-dump", refusedTasks: 1 }),
    then: ["failed", "signal", /refused a new process or thread at the limit on tasks of the proj/],
  },
  {
    when: "succeeded although it was refused tasks",
    given: evidence({ end: exited(0), refusedTasks: 3 }),
    then: ["succeeded", "exit_code", /^Exited with code 0$/],
  },
  {
    when: "ended by the machine's shutdown",
    given: evidence({ end: killed("SIGTERM"), managerStopping: true }),
    then: ["lost", "agent_lost", /shut down/],
  },
  {
    when: "exited with 0 during the machine's shutdown",
    given: evidence({ end: exited(0), managerStopping: true }),
    then: ["succeeded", "exit_code", /code 0/],
  },
  {
    when: "could not be executed",
    given: evidence(
      { end: exited(203), serviceResult: "exit-code", activated: false },
      { logBytes: 0 },
    ),
    then: ["failed", "exec_failed", /^Cannot execute "make": the kernel/],
  },
  {
    when: "had no such program",
    given: evidence({ end: exited(127), serviceResult: "exit-code", notBegun: true }),
    then: ["failed", "exec_failed", /"make": command not found on the job's PATH/],
  },
  {
    when: "had no file of that path",
    given: evidence(
      { end: exited(127), serviceResult: "exit-code", notBegun: true },
      { spec: spec({ work: { kind: "command", argv: ["/no/such"] } }) },
    ),
    then: ["failed", "exec_failed", /"\/no\/such": no such file/],
  },
  {
    when: "exited with 203 too soon for systemd to see it, and said why",
    given: evidence({ end: exited(203), serviceResult: "exit-code", activated: false }),
    then: ["failed", "exit_code", /code 203/],
  },
  {
    when: "exited with 203 by itself",
    given: evidence({ end: exited(203), activated: true }, { logBytes: 0 }),
    then: ["failed", "exit_code", /code 203/],
  },
  {
    when: "could not be forked",
    given: evidence({ end: { kind: "none" }, serviceResult: "resources" }),
    then: ["failed", "start_failed", /resources/],
  },
  {
    when: "left no record on a machine that was restarted",
    given: evidence(undefined, { bootedAt: T0 + 1 }),
    then: ["lost", "agent_lost", /machine was restarted/],
  },
  {
    when: "left no record",
    given: evidence(undefined, { bootedAt: T0 - 1 }),
    then: ["lost", "agent_lost", /the service manager went away/],
  },
  {
    when: "left a record that cannot be read",
    given: evidence(undefined, { result: { kind: "unusable", problem: "has no exit_code" } }),
    then: ["lost", "agent_lost", /record of its end has no exit_code/],
  },
];

for (const { when, given, then: [state, reason, message] } of CASES) {
  Deno.test(`settle() calls a job ${state} that ${when}`, () => {
    const outcome = settle(given);
    assert.equal(outcome.state, state);
    assert.equal(outcome.reason, reason);
    assert.match(outcome.message, message);
    assertConsistent(outcome);
  });
}

Deno.test("settle() reports what was used", () => {
  const outcome = settle(evidence({
    end: exited(0),
    cpuUsageUs: 1_500_000,
    cpuThrottledUs: 250_000,
    memoryPeakBytes: 4_096,
  }));
  assert.deepEqual(outcome.usage, {
    cpuSeconds: 1.5,
    memoryPeakBytes: 4_096,
    wallSeconds: 5,
    cpuThrottledSeconds: 0.25,
  });
  assert.equal(outcome.logBytes, 42);
});

Deno.test("settle() reports no wall time of a clock that was set back", () => {
  const outcome = settle(evidence({ end: exited(0) }, { finishedAt: T0 - 1 }));
  assert.equal(outcome.usage.wallSeconds, undefined);
});

Deno.test("settleNeverBegun() distinguishes a cancel from a failure", () => {
  const { startedAt: _none, ...nothing } = evidence(undefined);
  assert.equal(settleNeverBegun({ ...nothing, ...stop(T0) }).reason, "cancelled");
  assert.equal(settleNeverBegun(nothing).reason, "start_failed");
});

Deno.test("settle() gives a consistent outcome for any input", () => {
  const end: fc.Arbitrary<MainEnd> = fc.oneof(
    fc.integer({ min: 0, max: 255 }).map(exited),
    fc.tuple(fc.constantFrom("SIGKILL", "SIGTERM", "SIGSEGV"), fc.boolean())
      .map(([signal, dumped]) => killed(signal, dumped)),
    fc.constant<MainEnd>({ kind: "none" }),
  );
  const record = fc.record({
    serviceResult: fc.constantFrom("success", "exit-code", "signal", "timeout", "oom-kill"),
    end,
    notBegun: fc.constant(true as const),
    activated: fc.boolean(),
    mainRunMs: fc.nat(200_000),
    managerStopping: fc.boolean(),
    memoryPeakBytes: fc.nat(),
    oomKills: fc.nat(3),
    refusedTasks: fc.nat(3),
    cpuUsageUs: fc.nat(),
  }, { requiredKeys: ["serviceResult", "end"] });
  const stops = fc.option(
    fc.tuple(
      fc.integer({ min: T0 - 10_000, max: T0 + 200_000 }),
      fc.constantFrom("cancelled" as const, "superseded" as const, "timeout" as const),
    ),
    { nil: undefined },
  );
  fc.assert(fc.property(fc.option(record, { nil: undefined }), stops, (given, stopped) => {
    const at = stopped === undefined ? {} : stop(...stopped);
    const outcome = settle(evidence(given, at));
    assertConsistent(outcome);
    if (given === undefined) assert.equal(outcome.state, "lost");
    if (outcome.state === "cancelled") assert(stopped !== undefined);
  }));
});

function assertConsistent(outcome: AttemptOutcome): void {
  const { state, reason, exitCode, signal, message, usage } = outcome;
  assert(exitCode === undefined || signal === undefined, "both an exit code and a signal");
  assert.notEqual(message, "");
  for (const figure of Object.values(usage)) assert(Number.isFinite(figure) && figure >= 0);
  switch (reason) {
    case "exit_code":
      assert(exitCode !== undefined);
      assert.equal(state, exitCode === 0 ? "succeeded" : "failed");
      break;
    case "signal":
    case "oom_killed":
      assert.equal(state, "failed");
      assert.match(signal ?? "", /^SIG/);
      break;
    case "timeout":
      assert.equal(state, "timed_out");
      break;
    case "cancelled":
    case "superseded":
      assert.equal(state, "cancelled");
      break;
    case "exec_failed":
      assert.equal(state, "failed");
      assert(exitCode === 126 || exitCode === 127);
      break;
    case "start_failed":
      assert.equal(state, "failed");
      assert.equal(exitCode, undefined);
      break;
    case "agent_lost":
      assert.equal(state, "lost");
      break;
  }
}

Deno.test("settle() names the shell of a script that cannot be executed", () => {
  const work = { kind: "script", text: newJobId(), shell: "fish" } as const;
  const outcome = settle(
    evidence({ end: exited(127), notBegun: true }, { spec: spec({ work }) }),
  );
  assert.match(outcome.message, /"fish"/);
});
