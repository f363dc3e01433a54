import assert from "node:assert/strict";
import { removeOrphans } from "@lib/features/containers/job_labels.ts";
import { containerBody, jobContainerName } from "@lib/features/containers/container_config.ts";
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import { containerContract } from "../support/container_bench.ts";
import { useDockerEngine } from "../support/container_suite.ts";
import type { StarterOrder } from "../support/container_starter_process.ts";
import { Bench, deadline, logged, script } from "../support/executor_contract.ts";
import { proxyEngine } from "../support/engine_proxy.ts";

const use = useDockerEngine();
const CONTRACT = containerContract(use);
const STARTER = new URL("../support/container_starter_process.ts", import.meta.url).pathname;

/** Begins an attempt in a process of its own. */
function beginWith(bench: Bench, request: AttemptRequest, host: string): Deno.ChildProcess {
  const order: StarterOrder = {
    host,
    stateDir: bench.stateDir,
    project: bench.project,
    jobId: request.ref.jobId,
    spec: request.spec,
    env: request.env,
  };
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", STARTER, JSON.stringify(order)],
    stdin: "null",
    stdout: "null",
  }).spawn();
}

/** As {@linkcode beginWith}, and kills the process once the job has said `ready`. */
async function beginAndDie(bench: Bench, request: AttemptRequest): Promise<void> {
  const agent = beginWith(bench, request, use.host);
  await logged(request, "ready");
  agent.kill("SIGKILL");
  await agent.status;
}

Deno.test("ContainerExecutor takes over what a killed agent left, with the whole log", async () => {
  await using bench = new Bench(CONTRACT);
  const request = bench.request(
    script(`echo ready
i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i+1)); done
while [ ! -e go ]; do sleep 0.01; done
echo done; exit 7`),
  );
  await beginAndDie(bench, request);
  const executor = await bench.executor();
  assert.deepEqual(await executor.look(request, deadline()), { kind: "alive" });
  assert.equal(await executor.start(request, deadline()), "exists");
  const ended = executor.ended(request, deadline());
  Deno.writeTextFileSync(`${request.directory.workspace}/go`, "");
  const outcome = await ended;
  assert.equal(outcome.exitCode, 7, outcome.message);
  const lines = Deno.readTextFileSync(request.directory.logFile("merged")).split("\n");
  assert.deepEqual(lines, [
    "ready",
    ...Array.from({ length: 2_000 }, (_, i) => `line ${i}`),
    "done",
    "",
  ]);
  await use.engine.left();
});

Deno.test("ContainerExecutor settles a job that ended while no agent was alive", async () => {
  await using bench = new Bench(CONTRACT);
  const request = bench.request(script("echo ready; echo more; exit 5"));
  await beginAndDie(bench, request);
  const executor = await bench.executor();
  const outcome = await executor.ended(request, deadline());
  assert.equal(outcome.exitCode, 5, outcome.message);
  assert.equal(Deno.readTextFileSync(request.directory.logFile("merged")), "ready\nmore\n");
  assert.equal((await executor.look(request, deadline())).kind, "ended");
});

Deno.test("ContainerExecutor tells the end before the container is removed, and removes it then", async () => {
  using slow = proxyEngine(use.engine.socket, { holdsRemovals: true });
  await using bench = new Bench(containerContract(slow));
  const executor = await bench.executor();
  const request = bench.request(script("exit 5"));
  await executor.start(request, deadline());
  assert.equal((await executor.ended(request, deadline())).exitCode, 5);
  await slow.asked;
  assert.deepEqual(await use.engine.containers(), [jobContainerName(request.ref)]);
  assert.equal(executor.tidying, true, "the agent would exit");
  // The next job needs nothing that the removal has.
  const next = bench.request(script("exit 6"));
  await executor.start(next, deadline());
  assert.equal((await executor.ended(next, deadline())).exitCode, 6);
  slow.release();
  await use.engine.left();
  await executor[Symbol.asyncDispose]();
  assert.equal(executor.tidying, false);
});

Deno.test("ContainerExecutor removes what an agent left that died before the removal", async () => {
  using slow = proxyEngine(use.engine.socket, { holdsRemovals: true });
  await using bench = new Bench(CONTRACT);
  const request = bench.request(script("echo ready; sleep 0.5; exit 5"));
  const agent = beginWith(bench, request, slow.host);
  await slow.asked;
  agent.kill("SIGKILL");
  await agent.status;
  assert.deepEqual(await use.engine.containers(), [jobContainerName(request.ref)]);
  const executor = await bench.executor();
  assert.equal((await executor.look(request, deadline())).kind, "ended");
  await use.engine.left();
});

Deno.test("ContainerExecutor keeps the time limit and the grace of a job it took over", async () => {
  await using bench = new Bench(CONTRACT);
  const request = bench.request(
    script("trap '' TERM; echo ready; while :; do sleep 0.05; done"),
    { timeoutMs: 1_500, graceMs: 300 },
  );
  await beginAndDie(bench, request);
  const outcome = await (await bench.executor()).ended(request, deadline());
  assert.equal(outcome.state, "timed_out", outcome.message);
  assert.equal(outcome.signal, "SIGKILL");
});

Deno.test("ContainerExecutor starts what was made and never started, and only once", async () => {
  await using bench = new Bench(CONTRACT);
  const request = bench.request(script("echo run >> ran"));
  const signal = deadline();
  // As an agent leaves it that dies between the two calls: the last may still be under way.
  const executor = await bench.executor();
  Deno.mkdirSync(request.directory.home);
  const body = containerBody(request, {
    facts: await use.engine.client.facts(signal),
    init: true,
    account: { uid: 0, gid: 0 },
    stateDir: bench.stateDir,
    tasks: 256,
  });
  await use.engine.client.createContainer(jobContainerName(request.ref), body, signal);
  Deno.writeTextFileSync(request.directory.logFile("merged"), "");
  assert.equal((await executor.look(request, signal)).kind, "never_begun");
  // The dead agent's request arrives now, and finds nothing of that name.
  await assert.rejects(
    use.engine.client.startContainer(jobContainerName(request.ref), signal),
    /No such container/,
  );
  assert.equal(await executor.start(request, signal), "started");
  assert.equal((await executor.ended(request, signal)).state, "succeeded");
  assert.equal(Deno.readTextFileSync(`${request.directory.workspace}/ran`), "run\n");
  await use.engine.left();
});

Deno.test("ContainerExecutor neither starts nor believes a foreign container of the attempt's name", async () => {
  await using bench = new Bench(CONTRACT);
  const signal = deadline();
  const { client } = use.engine;
  const foreign = async (request: AttemptRequest, stateDir: string) => {
    const body = containerBody(request, {
      facts: await client.facts(signal),
      init: true,
      account: { uid: 0, gid: 0 },
      stateDir,
      tasks: 256,
    });
    return await client.createContainer(jobContainerName(request.ref), body, signal);
  };
  const executor = await bench.executor();
  const request = bench.request(script("echo own; exit 3"));
  // As another suite at the same engine makes it, with a copy of the state directory.
  Deno.mkdirSync(request.directory.home);
  const id = await foreign(request, "/elsewhere");
  assert.equal(await executor.start(request, signal), "started");
  const outcome = await executor.ended(request, signal);
  assert.equal(outcome.exitCode, 3, outcome.message);
  assert.equal(Deno.readTextFileSync(request.directory.logFile("merged")), "own\n");
  assert.equal((await client.inspectContainer(id, signal))?.status, "created");
  // After a crash, one that ran by itself says nothing of the attempt.
  const lost = bench.request(script("echo own"));
  Deno.mkdirSync(lost.directory.home);
  const second = await foreign(lost, "/elsewhere");
  await client.startContainer(second, signal);
  Deno.writeTextFileSync(lost.directory.logFile("merged"), "");
  assert.equal((await executor.look(lost, signal)).kind, "vanished");
  assert.equal((await executor.ended(lost, signal)).state, "lost");
  assert.notEqual(await client.inspectContainer(second, signal), undefined);
  for (const made of [id, second]) await client.removeContainer(made, signal);
});

Deno.test("ContainerExecutor calls an attempt lost whose container somebody removed", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request(script("echo ready; sleep 1000"));
  await executor.start(request, deadline());
  await logged(request, "ready");
  await use.engine.client.removeContainer(jobContainerName(request.ref), deadline());
  const outcome = await executor.ended(request, deadline());
  assert(outcome.state === "lost" || outcome.state === "failed", outcome.message);
  assert.equal(await executor.start(request, deadline()), "exists");
});

Deno.test("ContainerExecutor waits while the engine is away, and does not take its jobs for over", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request(script("echo ready; sleep 1000"));
  await executor.start(request, deadline());
  await logged(request, "ready");
  const ended = executor.ended(request, deadline(120_000));
  // Killed, it takes its containers along when it starts request.
  await use.engine.restart();
  const outcome = await ended;
  assert.notEqual(outcome.state, "succeeded");
  assert.equal(await executor.start(request, deadline()), "exists");
  await use.engine.left();
});

Deno.test("removeOrphans() removes what no attempt wants, and nothing of others", async () => {
  await using bench = new Bench(CONTRACT);
  await using other = new Bench(CONTRACT);
  const signal = deadline();
  const wanted = bench.request(script("echo ready; sleep 1000"));
  const unwanted = bench.request(script("echo ready; sleep 1000"));
  const foreign = other.request(script("echo ready; sleep 1000"));
  const first = await bench.executor();
  const second = await other.executor();
  for (const request of [wanted, unwanted]) await first.start(request, signal);
  await second.start(foreign, signal);
  await first[Symbol.asyncDispose]();
  await second[Symbol.asyncDispose]();
  const removed = await removeOrphans(use.engine.client, {
    stateDir: bench.stateDir,
    project: bench.project,
    isWanted: ({ job }) => job === wanted.ref.jobId,
  }, signal);
  assert.deepEqual(removed, [jobContainerName(unwanted.ref)]);
  const left = await use.engine.containers();
  assert.deepEqual(
    [...left].sort(),
    [jobContainerName(wanted.ref), jobContainerName(foreign.ref)].sort(),
  );
  for (const name of left) await use.engine.client.removeContainer(name, signal);
});
