import assert from "node:assert/strict";
import { systemClock } from "@lib/core/clock.ts";
import { DirectExecutor } from "@lib/spine/executors/direct_executor.ts";
import {
  Bench,
  type ContractOptions,
  deadline,
  logged,
  processesWith,
  script,
  testExecutorContract,
} from "../support/executor_contract.ts";

const CONTRACT: ContractOptions = {
  name: "DirectExecutor",
  create: () => Promise.resolve(new DirectExecutor({ clock: systemClock })),
};

testExecutorContract(CONTRACT);

Deno.test("DirectExecutor calls an attempt lost whose supervisor was killed, and ends its rest", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const marker = `1000.${Math.floor(Math.random() * 1e9)}`;
  const request = bench.request(script(`setsid sleep ${marker} &\necho ready\nsleep ${marker}`));
  await executor.start(request, deadline());
  await logged(request, "ready");
  const [pid] = Deno.readTextFileSync(`${request.directory.path}/supervisor`).split("\n");
  Deno.kill(Number(pid), "SIGKILL");
  const outcome = await executor.ended(request, deadline());
  assert.equal(outcome.state, "lost");
  assert.equal(outcome.reason, "agent_lost");
  assert.equal(processesWith(marker), 0);
  assert.equal(await executor.start(request, deadline()), "exists");
  assert.equal((await executor.look(request, deadline())).kind, "vanished");
});

Deno.test("DirectExecutor continues what was stopped of a supervisor", async (t) => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  await t.step("at the end of the job", async () => {
    const request = bench.request(script("kill -STOP $PPID\nexit 6"));
    await executor.start(request, deadline());
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.exitCode, 6, outcome.message);
  });
  await t.step("at a stop", async () => {
    const request = bench.request(script("echo ready\nkill -STOP 0\nsleep 60"));
    await executor.start(request, deadline());
    await logged(request, "ready");
    await executor.stop(request, { reason: "cancelled", by: "by request" }, deadline());
    const outcome = await executor.ended(request, deadline());
    assert.equal(outcome.state, "cancelled", outcome.message);
  });
});

Deno.test("DirectExecutor goes on where a job signals its own process group", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request(script("trap '' TERM\nkill -TERM 0\nsleep 0.3\nexit 6"), {
    graceMs: 0,
  });
  await executor.start(request, deadline());
  const outcome = await executor.ended(request, deadline());
  assert.equal(outcome.reason, "exit_code", outcome.message);
  assert.equal(outcome.exitCode, 6);
});

Deno.test("DirectExecutor holds the time limit while no program of ours is alive", async () => {
  await using bench = new Bench(CONTRACT);
  const first = await bench.executor();
  const request = bench.request(script("trap '' TERM\necho ready\nwhile :; do sleep 1; done"), {
    timeoutMs: 300,
    graceMs: 200,
  });
  await first.start(request, deadline());
  await first[Symbol.asyncDispose]();
  const outcome = await (await bench.executor()).ended(request, deadline());
  assert.equal(outcome.state, "timed_out");
  assert.equal(outcome.signal, "SIGKILL");
});
