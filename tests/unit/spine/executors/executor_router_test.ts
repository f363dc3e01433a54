import assert from "node:assert/strict";
import { ExecutorRouter } from "@lib/spine/executors/executor_router.ts";
import type { AttemptHandle, Executor } from "@lib/spine/jobs/executor.ts";
import { newJobId, parseProjectName } from "@lib/core/ids.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import { makeContainer, makeSpec } from "../../../support/job_fixtures.ts";

function recording(kind: Executor["kind"], calls: string[]): Executor {
  const note = (what: string) => void calls.push(`${kind} ${what}`);
  return {
    kind,
    start: () => Promise.resolve(note("start")).then(() => "started"),
    look: () => Promise.resolve(note("look")).then(() => ({ kind: "alive" })),
    ended: () => Promise.reject(new Error(kind)),
    stop: () => Promise.resolve(note("stop")),
    removeForeign: (path) => Promise.resolve(note(`remove ${path}`)),
    hold: () => Promise.resolve(note("hold")),
    notHeld: () => note("does not hold"),
    holdGone: () => Promise.resolve(note("hold gone")),
    endHold: () => Promise.resolve(note("end hold")),
    describeProject: () => Promise.resolve({ limits: { cpu: 1 }, usage: {} }),
    awayReason: () => `${kind} is away`,
    tidying: kind === "container",
    unhealthyReason: () => kind,
    [Symbol.asyncDispose]: () => Promise.resolve(note("dispose")),
  };
}

function attempt(container: boolean): AttemptHandle {
  const project = parseProjectName("web");
  assert(project !== undefined);
  const ref = { project, jobId: newJobId(), number: 1 };
  const spec = makeSpec({ project, ...(container ? { container: makeContainer() } : {}) });
  return { ref, spec, directory: attemptDirectory("/state", ref) };
}

function setup() {
  const calls: string[] = [];
  let made = 0;
  const executor = new ExecutorRouter({
    processes: recording("direct", calls),
    makeContainers: () => {
      made++;
      return Promise.resolve(recording("container", calls));
    },
  });
  return { executor, calls, made: () => made, signal: AbortSignal.timeout(1_000) };
}

Deno.test("ExecutorRouter sends a job with a container to the engine, all others not", async () => {
  const { executor, calls, made, signal } = setup();
  await executor.look(attempt(false), signal);
  assert.equal(made(), 0);
  await Promise.all([executor.look(attempt(true), signal), executor.look(attempt(true), signal)]);
  await executor.stop(attempt(true), { reason: "cancelled", by: "me" }, signal);
  await assert.rejects(executor.ended(attempt(true), signal), /container/);
  assert.equal(made(), 1);
  assert.deepEqual(calls, ["direct look", "container look", "container look", "container stop"]);
  await executor[Symbol.asyncDispose]();
  assert.deepEqual(calls.slice(4).sort(), ["container dispose", "direct dispose"]);
});

Deno.test("ExecutorRouter has the engine remove what the account cannot", async () => {
  const { executor, calls, signal } = setup();
  await executor.removeForeign("/state/x", signal);
  assert.deepEqual(calls, ["container remove /state/x"]);
});

Deno.test("ExecutorRouter gives the reason of the executor that has the attempt", async () => {
  const { executor, signal } = setup();
  assert.equal(executor.awayReason(attempt(true)), undefined);
  await executor.look(attempt(true), signal);
  assert.equal(executor.awayReason(attempt(true)), "container is away");
  assert.equal(executor.awayReason(attempt(false)), "direct is away");
});

Deno.test("ExecutorRouter tidies while one of its executors does", async () => {
  const { executor, signal } = setup();
  assert.equal(executor.tidying, false);
  await executor.look(attempt(true), signal);
  assert.equal(executor.tidying, true);
});

Deno.test("ExecutorRouter tries again where the engine's executor could not be made", async () => {
  const calls: string[] = [];
  let tries = 0;
  await using executor = new ExecutorRouter({
    processes: recording("direct", calls),
    makeContainers: () =>
      ++tries === 1
        ? Promise.reject(new Error("not yet"))
        : Promise.resolve(recording("container", calls)),
  });
  const signal = AbortSignal.timeout(1_000);
  await assert.rejects(executor.look(attempt(true), signal), /not yet/);
  assert.deepEqual(await executor.look(attempt(true), signal), { kind: "alive" });
});

Deno.test("ExecutorRouter is as healthy as what runs processes", async () => {
  const { executor, signal } = setup();
  assert.equal(executor.kind, "direct");
  assert.equal(executor.unhealthyReason(), "direct");
  assert.deepEqual(await executor.describeProject(signal), { limits: { cpu: 1 }, usage: {} });
});

Deno.test("ExecutorRouter holds a container at the engine, and asks both where a record is unreadable", async () => {
  const { executor, calls, made, signal } = setup();
  const process = attempt(false);
  await executor.hold(process, 1, signal);
  executor.notHeld(process);
  await executor.holdGone({ ...process.ref, inContainer: false }, signal);
  await executor.endHold({ ...process.ref, inContainer: false }, signal);
  assert.equal(made(), 0);
  const held = attempt(true);
  await executor.hold(held, 1, signal);
  executor.notHeld(held);
  await executor.holdGone({ ...held.ref, inContainer: true }, signal);
  await executor.endHold({ ...held.ref, inContainer: true }, signal);
  const four = ["hold", "does not hold", "hold gone", "end hold"];
  assert.deepEqual(calls, [
    ...four.map((what) => `direct ${what}`),
    ...four.slice(0, 3).map((what) => `container ${what}`),
    "direct end hold",
    "container end hold",
  ]);
});
