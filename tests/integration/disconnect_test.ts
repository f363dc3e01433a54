import assert from "node:assert/strict";
import { fromFileUrl } from "@lib/core/file_url.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

const MAIN = fromFileUrl(new URL("../../cmd/runner/main.ts", import.meta.url).href);
const CONFIG = "queue:\n  disconnect_patience: 2s\n";
const BODY = { project: "web", script: "echo begun; sleep 300", grace: "1s" };

async function startBench(): Promise<RunnerBench> {
  const t = new RunnerBench({ config: CONFIG });
  await t.start();
  return t;
}

function curl(t: RunnerBench, ...args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command("curl", {
    args: ["--silent", "--show-error", "--no-buffer", "--unix-socket", t.socket, ...args],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs `cicd-runner run` with the arguments. */
function run(t: RunnerBench, ...args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", MAIN, "run", "-p", "web", ...args],
    env: { CICD_SOCKET: t.socket },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits until a process has written a text. */
async function written(child: Deno.ChildProcess, text: string): Promise<void> {
  const reader = child.stdout.getReader();
  let seen = "";
  while (!seen.includes(text)) {
    const { value, done } = await reader.read();
    assert(!done, `it ended after ${seen}`);
    seen += new TextDecoder().decode(value);
  }
  reader.releaseLock();
}

async function newest(t: RunnerBench) {
  return (await t.json("GET", "/v1/jobs?limit=1")).body.jobs[0];
}

async function ended(t: RunnerBench, id: string) {
  return (await t.json("GET", `/v1/jobs/${id}/wait?timeout=30s`)).body;
}

Deno.test("the job of a killed cicd-runner run is cancelled after the patience, and says so", async () => {
  await using t = await startBench();
  const child = run(t, "--", "/bin/sh", "-c", BODY.script);
  await written(child, "begun\n");
  const { id } = await newest(t);
  child.kill("SIGKILL");
  await child.stdout.cancel();
  await child.stderr.cancel();
  await child.status;
  const job = await ended(t, id);
  assert.equal(job.state, "cancelled");
  assert.match(job.message, /its client has been gone for 2s \(on_disconnect=cancel, by request\)/);
});

Deno.test("a step that is ended as GitHub ends it, by its shell alone, leaves no job running", async () => {
  await using t = await startBench();
  const argv = [
    Deno.execPath(),
    "run",
    "-q",
    "-A",
    MAIN,
    "run",
    "-p",
    "web",
    "--",
    "/bin/sh",
    "-c",
  ];
  const step = `${argv.join(" ")} '${BODY.script}'\necho next`;
  await Deno.writeTextFile(`${t.directory}/step.sh`, step);
  const shell = new Deno.Command("bash", {
    args: ["-e", `${t.directory}/step.sh`],
    env: { CICD_SOCKET: t.socket },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  await written(shell, "begun\n");
  const { id } = await newest(t);
  shell.kill("SIGINT");
  await pause(200);
  assert.equal((await t.json("GET", `/v1/jobs/${id}`)).body.state, "running");
  shell.kill("SIGTERM");
  await shell.status;
  // The program that read the output is there, as the runner of the workflow is.
  const { state, message } = await ended(t, id);
  assert.equal(`${state}: ${message}`, "cancelled: Cancelled by request");
  await shell.stdout.cancel();
});

Deno.test("the job of a killed curl with on_disconnect=cancel is cancelled, a detached one is not", async () => {
  await using t = await startBench();
  const detached = run(t, "--detach", "--", "/bin/sh", "-c", BODY.script);
  const { stdout } = await detached.output();
  const kept = new TextDecoder().decode(stdout).trim();
  const url = "http://x/v1/jobs?follow=1&on_disconnect=cancel";
  const child = curl(t, url, "--data", JSON.stringify(BODY));
  await written(child, "begun\n");
  const { id } = await newest(t);
  child.kill("SIGKILL");
  await child.stdout.cancel();
  await child.stderr.cancel();
  assert.equal((await ended(t, id)).state, "cancelled");
  assert.equal((await t.json("GET", `/v1/jobs/${kept}`)).body.state, "running");
  await t.json("POST", `/v1/jobs/${kept}/cancel`);
  await ended(t, kept);
});

Deno.test("cicd-runner run keeps its job across a killed runner; curl is told how to resume", async () => {
  await using t = await startBench();
  const script = "echo begun; until [ -e go ]; do sleep 0.05; done; echo over";
  const workdir = t.directory;
  const child = run(t, "--workdir", workdir, "--", "/bin/sh", "-c", script);
  await written(child, "begun\n");
  const { id } = await newest(t);
  await t.kill("SIGKILL");
  await pause(2_500);
  await t.start();
  const follow = curl(t, `http://x/v1/jobs/${id}/logs?follow=1`);
  await written(follow, "begun\n");
  await pause(2_500);
  assert.equal((await t.json("GET", `/v1/jobs/${id}`)).body.state, "running");
  const rest = follow.output();
  assert.equal((await t.kill("SIGTERM")).code, 0);
  const { code, stdout, stderr } = await rest;
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const [, resume = ""] =
    /^cicd-interrupted reason=runner_stopping job=\S+ offset=6 resume="GET (.*)"\n$/
      .exec(new TextDecoder().decode(stdout)) ?? [];
  assert.equal(resume, `/v1/jobs/${id}/logs?follow=1&offset=6`);
  await t.start();
  const resumed = curl(t, `http://x${resume}`).output();
  await Deno.writeTextFile(`${workdir}/go`, "");
  assert.equal(new TextDecoder().decode((await resumed).stdout), "over\n");
  const { code: exitCode, stdout: printed } = await child.output();
  assert.equal(exitCode, 0);
  assert.equal(new TextDecoder().decode(printed), "over\n");
});

Deno.test("a refused request with on_disconnect=cancel cancels nothing", async () => {
  await using t = await startBench();
  const body = { ...BODY, script: "sleep 4" };
  const { body: { id } } = await t.json("POST", "/v1/jobs", { body });
  const headers = ["-H", "accept: text/event-stream", "-H", "last-event-id: x"];
  const url = `http://localhost/v1/jobs/${id}/logs?follow=1&on_disconnect=cancel`;
  const { stdout } = await curl(t, "-w", "%{http_code}", "-o", "/dev/null", ...headers, url)
    .output();
  assert.equal(new TextDecoder().decode(stdout), "422");
  assert.equal((await ended(t, id)).state, "succeeded");
});
