import assert from "node:assert/strict";
import { ignore } from "@lib/core/errors.ts";
import { isAlive, pause, RunnerBench } from "../support/runner_process.ts";

/** The socket of an agent that never accepts a connection: requests wait in its backlog. */
function deafAgent(bench: RunnerBench): Disposable {
  Deno.mkdirSync(`${bench.directory}/run/agents`, { recursive: true, mode: 0o700 });
  return Deno.listen({ transport: "unix", path: `${bench.directory}/run/agents/web.sock` });
}

Deno.test("a job whose agent never answers says so, and ends as start_failed", async () => {
  await using bench = new RunnerBench({ config: "queue: { start_timeout: 2s }" });
  using _agent = deafAgent(bench);
  await bench.start();
  const { body: job } = await bench.json("POST", "/v1/jobs", {
    body: { project: "web", script: "true" },
  });
  await pause(200);
  const { body: waiting } = await bench.json("GET", `/v1/jobs/${job.id}`);
  assert.equal(waiting.state, "starting");
  assert.match(waiting.waiting, /^waiting for the agent: /);
  const { body: ended } = await bench.json("GET", `/v1/jobs/${job.id}/wait?timeout=20s`);
  assert.deepEqual([ended.state, ended.reason, ended.waiting], ["failed", "start_failed", null]);
  assert.match(ended.message, /did not answer within 2s/);
});

Deno.test("a job whose agent cannot answer is cancelled at once, and never starts", async () => {
  await using bench = new RunnerBench();
  const agent = deafAgent(bench);
  await bench.start();
  const ran = `${bench.directory}/ran`;
  const { body: job } = await bench.json("POST", "/v1/jobs", {
    body: { project: "web", script: `touch "${ran}"` },
  });
  while ((await bench.json("GET", `/v1/jobs/${job.id}`)).body.state === "queued") await pause(10);
  const { status, body } = await bench.json("POST", `/v1/jobs/${job.id}/cancel`);
  assert.deepEqual([status, body.state, body.reason], [200, "cancelled", "cancelled"]);
  assert.match(body.message, /before the start/);
  const attempt = `${bench.stateDir}/projects/web/jobs/${job.id}/1`;
  assert((await Deno.stat(`${attempt}/fence`)).isFile);
  // An agent that starts now gets the next job, and nothing of this one.
  agent[Symbol.dispose]();
  await Deno.remove(`${bench.directory}/run/agents/web.sock`).catch(ignore("closing removed it"));
  const { body: next } = await bench.json("POST", "/v1/jobs", {
    body: { project: "web", script: "true" },
  });
  const { body: ended } = await bench.json("GET", `/v1/jobs/${next.id}/wait?timeout=30s`);
  assert.equal(ended.state, "succeeded", ended.message);
  await assert.rejects(Deno.stat(ran), Deno.errors.NotFound);
});

Deno.test("run says what its job waits for, on standard error", async () => {
  await using bench = new RunnerBench({ config: "queue: { start_timeout: 4s }" });
  using _agent = deafAgent(bench);
  await bench.start();
  const { code, stderr } = await bench.cli(["run", "-p", "web", "--", "true"]);
  assert.equal(code, 125);
  assert.match(stderr, /starting: waiting for the agent: it has not answered yet\n/);
  assert.match(stderr, /did not answer within 4s/);
});

Deno.test("a job whose directory cannot be made says so, and ends as start_failed or by a cancel", async () => {
  await using bench = new RunnerBench({ config: "queue: { start_timeout: 2s }" });
  await bench.start();
  assert.equal((await bench.runJob({ project: "web", script: "true" })).state, "succeeded");
  // Nobody can make a directory there, root neither.
  const jobs = `${bench.stateDir}/projects/web/jobs`;
  await Deno.rename(jobs, `${jobs}.away`);
  await Deno.symlink("/sys", jobs);
  const submit = () => bench.json("POST", "/v1/jobs", { body: { project: "web", script: "true" } });
  const { body: job } = await submit();
  await pause(500);
  const { body: waiting } = await bench.json("GET", `/v1/jobs/${job.id}`);
  assert.match(waiting.waiting, /Cannot make the directory of the attempt: /);
  const { body: ended } = await bench.json("GET", `/v1/jobs/${job.id}/wait?timeout=20s`);
  assert.deepEqual([ended.state, ended.reason], ["failed", "start_failed"]);
  assert.match(ended.message, /did not answer within 2s: Cannot make the directory/);
  const { body: second } = await submit();
  await pause(200);
  await bench.json("POST", `/v1/jobs/${second.id}/cancel`);
  const { body: cancelled } = await bench.json("GET", `/v1/jobs/${second.id}/wait?timeout=20s`);
  assert.equal(cancelled.state, "cancelled");
  await Deno.remove(jobs);
});

Deno.test("a cancel holds while the agent does not answer: the runner stops the job itself", async () => {
  await using bench = new RunnerBench({ config: "queue: { stop_timeout: 1s }" });
  await bench.start();
  const pidFile = `${bench.directory}/pid`;
  const { body: job } = await bench.json("POST", "/v1/jobs", {
    body: { project: "web", script: `echo $$ >"${pidFile}"; exec sleep 1000` },
  });
  while ((await Deno.readTextFile(pidFile).catch(() => "")) === "") await pause(10);
  const pid = Number(await Deno.readTextFile(pidFile));
  const [agent = 0] = bench.agentPids();
  Deno.kill(agent, "SIGSTOP");
  await bench.json("POST", `/v1/jobs/${job.id}/cancel`);
  const { body: ended } = await bench.json("GET", `/v1/jobs/${job.id}/wait?timeout=20s`);
  assert.deepEqual([ended.state, ended.reason], ["cancelled", "cancelled"]);
  assert.equal(isAlive(pid), false);
  // The agent finds it ended, and goes on.
  Deno.kill(agent, "SIGCONT");
  assert.equal((await bench.runJob({ project: "web", script: "true" })).state, "succeeded");
});

Deno.test("status, projects and doctor answer, and name an agent that is silent", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  assert.equal((await bench.runJob({ project: "web", script: "true" })).state, "succeeded");
  const [agent = 0] = bench.agentPids();
  Deno.kill(agent, "SIGSTOP");
  await bench.json("POST", "/v1/jobs", { body: { project: "web", script: "true" } });
  const { body: project } = await bench.json("GET", "/v1/projects/web");
  assert.equal(project.agent.running, false);
  assert.match(project.agent_problem, /Cannot wait longer for the agent of web/);
  const { body: { projects } } = await bench.json("GET", "/v1/projects");
  assert.match(projects[0].agent_problem, /./);
  const { body: status } = await bench.json("GET", "/v1/status");
  assert.equal(status.agent_problems[0].project, "web");
  assert.match((await bench.cli(["status"])).stdout, /! the agent of web, .*: /);
  assert.match((await bench.cli(["projects"])).stdout, /! the agent of web: /);
  assert.match((await bench.cli(["doctor"])).stdout, /FAIL Agent: the agent of web: /);
  Deno.kill(agent, "SIGCONT");
  while ((await bench.json("GET", "/v1/status")).body.agent_problems.length > 0) await pause(20);
  assert.equal((await bench.json("GET", "/v1/projects/web")).body.agent_problem, null);
});
