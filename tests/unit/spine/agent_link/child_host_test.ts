import assert from "node:assert/strict";
import { ChildAgentHost } from "@lib/spine/agent_link/child_host.ts";
import { CicdError } from "@lib/core/errors.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { projectName } from "../../../support/job_fixtures.ts";
import { silentLogger } from "../../../support/silent_logger.ts";

const never = new AbortController().signal;

function setup() {
  const clock = new FakeClock();
  const spawned: PromiseWithResolvers<number>[] = [];
  let isListening = false;
  const missing: CicdError[] = [];
  const host = new ChildAgentHost({
    socketPath: () => "/run/agents/web.sock",
    answers: () => Promise.resolve(isListening),
    spawn() {
      if (missing[0] !== undefined) throw missing[0];
      const exited = Promise.withResolvers<number>();
      spawned.push(exited);
      return { exited: exited.promise };
    },
    clock,
    log: silentLogger,
  });
  return {
    clock,
    host,
    spawned,
    missing,
    listen: () => void (isListening = true),
  };
}

Deno.test("ensureListening() starts one agent for all who wait", async () => {
  const t = setup();
  const waiting = Promise.all([1, 2, 3].map(() => t.host.ensureListening(projectName(), never)));
  await t.clock.tick(100);
  t.listen();
  await t.clock.tick(100);
  await waiting;
  assert.equal(t.spawned.length, 1);
});

Deno.test("ensureListening() starts none where one listens", async () => {
  const t = setup();
  t.listen();
  await t.host.ensureListening(projectName(), never);
  assert.equal(t.spawned.length, 0);
});

Deno.test("ensureListening() reports the exit code of an agent", async () => {
  const t = setup();
  const waiting = t.host.ensureListening(projectName(), never);
  const refused = assert.rejects(waiting, (error) => {
    assert(error instanceof CicdError && error.code === "agent_unavailable");
    assert.match(error.message, /exited with code 78/);
    return true;
  });
  await t.clock.tick(20);
  t.spawned[0]?.resolve(78);
  await t.clock.tick(20);
  await refused;
});

Deno.test("ensureListening() reports an agent that is not installed as such", async () => {
  const t = setup();
  const missing = new CicdError("agent_missing", "Cannot find cicd-agent");
  t.missing.push(missing);
  await assert.rejects(t.host.ensureListening(projectName(), never), missing);
});

Deno.test("ensureListening() gives up on an agent that never listens", async () => {
  const t = setup();
  const refused = assert.rejects(t.host.ensureListening(projectName(), never), /does not listen/);
  await t.clock.tick(30_000);
  await refused;
});

Deno.test("a caller that gives up does not affect the others", async () => {
  const t = setup();
  const impatient = new AbortController();
  const first = t.host.ensureListening(projectName(), impatient.signal);
  const second = t.host.ensureListening(projectName(), never);
  await t.clock.tick(20);
  impatient.abort(new Error("enough"));
  await assert.rejects(first, /enough/);
  t.listen();
  await t.clock.tick(20);
  await second;
  assert.equal(t.spawned.length, 1);
});

Deno.test("disposing ends the wait", async () => {
  const t = setup();
  const waiting = assert.rejects(t.host.ensureListening(projectName(), never), DOMException);
  await t.clock.tick(20);
  await t.host[Symbol.asyncDispose]();
  await waiting;
  assert.equal(t.clock.sleeping, 0);
});
