import assert from "node:assert/strict";
import { bootSuite, postArgs, SUITE_USER } from "../support/suite_in_machine.ts";

/** Prints numbered lines over about five seconds. */
const SLOW = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line $i; sleep 0.05; done; exit 7";
const SLOW_LOG = Array.from({ length: 100 }, (_, index) => `line ${index + 1}\n`).join("");

/** Collects what a program prints; stops listening when it ends. */
async function collectText(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  return await new Response(stream).text();
}

Deno.test("a restart of both programs leaves the job running, and a follower resumes byte for byte", async () => {
  await using t = await bootSuite();
  const { id } = await t.submit({ project: "web", script: SLOW });
  const followed = await t.stream(`/v1/jobs/${id}/logs?follow=1`);
  const begun = collectText(followed.stdout);
  await t.machine.waitFor("some output", async () => (await t.log(id)).includes("line 5\n"));
  await t.systemctl("restart", "cicd-runner.service", "cicd-agent@web.service");
  const [, first = "", resume = ""] =
    /^([^]*)cicd-interrupted reason=runner_stopping .* resume="GET (.*)"\n$/.exec(await begun) ??
      [];
  await followed[Symbol.asyncDispose]();
  assert.ok(SLOW_LOG.startsWith(first) && first.length < SLOW_LOG.length, first);
  assert.equal(resume, `/v1/jobs/${id}/logs?follow=1&offset=${first.length}`);
  const rest = await t.curl(resume);
  assert.equal(first + rest.stdout, SLOW_LOG);
  const job = await t.ended(id);
  assert.deepEqual([job.state, job.exit_code, job.attempt], ["failed", 7, 1]);
});

Deno.test("a job runs on while both programs are stopped, and its end is reported afterwards", async () => {
  await using t = await bootSuite();
  const { id } = await t.submit({ project: "web", script: `${SLOW.replace("exit 7", "exit 9")}` });
  await t.until(id, ["running"]);
  const units = ["cicd-runner.socket", "cicd-runner.service"];
  await t.systemctl("stop", ...units, "cicd-agent@web.socket", "cicd-agent@web.service");
  const job = `cicd-job-${id}-1.service`;
  assert.equal(await t.show(job, "ActiveState"), "active");
  await t.machine.waitFor(
    "the end of the unit",
    async () => await t.show(job, "LoadState") === "not-found",
  );
  await t.systemctl("start", "cicd-runner.socket");
  const ended = await t.ended(id);
  assert.deepEqual([ended.state, ended.exit_code], ["failed", 9]);
  assert.equal(await t.log(id), SLOW_LOG);
});

Deno.test("a stopped runner stops by itself though a follower is there", async () => {
  await using t = await bootSuite();
  const { id } = await t.submit({ project: "web", script: "echo here; sleep 30" });
  await using followed = await t.stream(`/v1/jobs/${id}/logs?follow=1`);
  const reader = followed.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader.read()).value, "here\n");
  await t.systemctl("stop", "cicd-runner.service");
  // Not killed at its limit.
  assert.equal(await t.show("cicd-runner.service", "Result"), "success");
  assert.match((await reader.read()).value ?? "", /^cicd-interrupted reason=runner_stopping /);
  assert.equal((await reader.read()).done, true);
  await t.systemctl("start", "cicd-runner.socket");
  assert.equal((await t.job(id)).state, "running");
  await t.ask("POST", `/v1/jobs/${id}/cancel`);
  assert.equal((await t.ended(id)).state, "cancelled");
});

Deno.test("jobs of a new project and of a known one start while there is no bus", async () => {
  await using t = await bootSuite();
  assert.equal((await t.ended((await t.submit({ project: "web", script: ":" })).id)).exit_code, 0);
  await t.systemctl("stop", "dbus.socket", "dbus.service");
  for (const project of ["web", "api"]) {
    const job = await t.ended((await t.submit({ project, script: "exit 3" })).id);
    assert.deepEqual([job.state, job.exit_code, job.attempt], ["failed", 3, 1]);
  }
});

Deno.test("after a power cut running jobs are lost, queued ones run without anyone knocking", async () => {
  await using t = await bootSuite({ config: "projects: { web: { max_running: 1 }, api: {} }\n" });
  const running = await t.submit({ project: "web", script: "echo one >>~/ran; sleep 60" });
  await t.until(running.id, ["running"]);
  const queued = await t.submit({ project: "web", script: "echo two >>~/ran" });
  const again = await t.submit({
    project: "api",
    script: 'echo "again $CICD_ATTEMPT" >>~/ran; [ $CICD_ATTEMPT = 2 ] || sleep 60',
    retries: { max: 1, on: ["lost"] },
  });
  await t.machine.waitFor(
    "both to run",
    async () => (await t.read(`/home/${SUITE_USER}/ran`))?.split("\n").length === 3,
  );
  await t.machine.run(["sync"]);
  await t.machine.restart("power_cut");
  await t.machine.waitFor("the queue to be worked off", async () => {
    const ran = await t.read(`/home/${SUITE_USER}/ran`) ?? "";
    return ran.includes("two\n") && ran.includes("again 2\n");
  }, { timeoutMs: 20_000 });
  const lost = await t.ended(running.id);
  assert.deepEqual([lost.state, lost.exit_code, lost.attempt], ["lost", null, 1]);
  assert.match(lost.message ?? "", /^The end of the job is unknown/);
  assert.equal((await t.ended(queued.id)).state, "succeeded");
  const retried = await t.ended(again.id);
  assert.deepEqual([retried.state, retried.attempt], ["succeeded", 2]);
  assert.deepEqual(retried.attempts?.map(({ state }) => state), ["lost", "succeeded"]);
  const ran = await t.read(`/home/${SUITE_USER}/ran`) ?? "";
  assert.deepEqual(ran.trim().split("\n").sort(), ["again 1", "again 2", "one", "two"]);
});

Deno.test("an orderly reboot loses no queued job and settles the running one as lost", async () => {
  await using t = await bootSuite();
  const { id } = await t.submit({ project: "web", script: "trap '' TERM; sleep 60", grace: "1s" });
  await t.until(id, ["running"]);
  await t.machine.restart("orderly");
  const job = await t.ended(id);
  assert.deepEqual([job.state, job.attempt], ["lost", 1]);
  const next = await t.curl("/v1/jobs?follow=1", ...postArgs({ project: "web", script: "exit 0" }));
  assert.match(next.stdout, /^cicd-result state=succeeded exit_code=0/);
});
