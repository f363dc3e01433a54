/**
 * Container jobs on the whole product, when a part of it dies or hangs in the middle.
 */
import assert from "node:assert/strict";
import { Stage, TOKEN } from "../support/container_stage.ts";
import { everythingInProc, processesWith } from "../support/processes.ts";
import { pause } from "../support/runner_process.ts";

/** Resolves when something is so. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(20);
}

Deno.test("an agent killed during a checkout leaves no git process, and the next one starts it over", async () => {
  await using t = await Stage.open();
  const repository = await t.git.repository("web");
  await repository.commit({ files: { "a.txt": "from git\n" } });
  t.git.behaviour = { kind: "hang_at_objects" };
  const id = await t.submit({
    script: "echo junk >>a.txt; cat a.txt; ls",
    git: { url: repository.url, token_secret: "GIT_TOKEN" },
    secrets: { GIT_TOKEN: TOKEN },
  });
  const fetching = () => processesWith(" fetch ", t.runner.stateDir);
  await until(() => fetching().length > 0);
  const orphans = fetching();
  for (const pid of t.runner.agentPids()) Deno.kill(pid, "SIGKILL");
  await until(() => !fetching().some((pid) => orphans.includes(pid)));
  // The one that takes over hangs there as well, and may be told to stop.
  await until(() => fetching().length > 0);
  for (const pid of t.runner.agentPids()) Deno.kill(pid, "SIGKILL");
  t.git.behaviour = { kind: "serve" };
  const job = await t.ended(id);
  assert.equal(job.state, "succeeded", job.message);
  assert.equal(job.attempt, 1);
  const log = await t.curl(`/v1/jobs/${id}/logs`);
  assert(log.endsWith("\nfrom git\njunk\na.txt\n"), log);
  assert.deepEqual(fetching(), []);
});

Deno.test("a job cancelled in a checkout that hangs ends at once, and its git too", async () => {
  await using t = await Stage.open();
  const repository = await t.git.repository("web");
  await repository.commit({ files: { a: "1" } });
  t.git.behaviour = { kind: "hang" };
  const id = await t.submit({ script: "true", git: { url: repository.url } });
  await t.git.nextRequest();
  await t.curl(`/v1/jobs/${id}/cancel`, "-X", "POST");
  const job = await t.ended(id);
  assert.equal(job.state, "cancelled");
  assert.deepEqual(processesWith("ls-remote", t.runner.stateDir), []);
  await t.engine.left();
});

Deno.test("a job whose engine is killed ends as soon as the engine is back, once", async () => {
  await using t = await Stage.open();
  const id = await t.submit({ script: "while :; do echo line; sleep 0.05; done" });
  await t.logHolds(id, "line");
  await t.engine.restart();
  const job = await t.ended(id);
  assert.equal(job.state, "failed", job.message);
  assert.equal(job.attempt, 1);
  await t.engine.left();
  const next = await t.ended(await t.submit({ script: "true" }));
  assert.equal(next.state, "succeeded", next.message);
});

Deno.test("a token of the checkout is in no process, no container and no file while the job runs", async () => {
  await using t = await Stage.open();
  const repository = await t.git.repository("web");
  await repository.commit({ files: { a: "1" } });
  const id = await t.submit({
    script: "echo here; env; sleep 1000",
    git: { url: repository.url, token_secret: "GIT_TOKEN" },
    secrets: { GIT_TOKEN: TOKEN },
    grace: "0s",
  });
  await t.logHolds(id, "here");
  const [name = ""] = await t.engine.containers();
  const inspected = await new Deno.Command("curl", {
    args: ["-sS", "--unix-socket", t.engine.socket, `http://localhost/containers/${name}/json`],
  }).output();
  const told = new TextDecoder().decode(inspected.stdout);
  assert.match(told, /CICD_JOB_ID/);
  assert(!told.includes(TOKEN), "the engine knows it");
  assert(!everythingInProc().includes(TOKEN), "a process has it");
  const found = await new Deno.Command("grep", {
    args: ["-rlaF", "--", TOKEN, t.runner.directory],
    stderr: "null",
  }).output();
  assert.equal(new TextDecoder().decode(found.stdout), "");
  await t.curl(`/v1/jobs/${id}/cancel`, "-X", "POST");
  assert.equal((await t.ended(id)).state, "cancelled");
});
