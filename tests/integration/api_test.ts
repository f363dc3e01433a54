import assert from "node:assert/strict";
import { isAlive, RunnerBench } from "../support/runner_process.ts";

Deno.test("a job runs from its submission to its exit code, its log whole", async () => {
  await using t = new RunnerBench();
  await t.start();
  const script = 'i=0; while [ $i -lt 2000 ]; do echo "line $i"; i=$((i+1)); done; exit 3';
  const job = await t.runJob({ project: "web", script });
  assert.equal(job.state, "failed");
  assert.equal(job.exit_code, 3);
  const log = await (await t.ask("GET", `/v1/jobs/${job.id}/logs`)).text();
  assert.equal(log, Array.from({ length: 2_000 }, (_, line) => `line ${line}\n`).join(""));
  const part = await t.ask("GET", `/v1/jobs/${job.id}/logs`, { headers: { range: "bytes=7-12" } });
  assert.equal(part.status, 206);
  assert.equal(await part.text(), "line 1");
});

Deno.test("POST /v1/jobs?follow=1 streams the log and ends with the result", async () => {
  await using t = new RunnerBench();
  await t.start();
  const response = await t.ask("POST", "/v1/jobs?follow=1", {
    body: { project: "web", script: "echo hello; exit 4" },
  });
  assert.match(
    await response.text(),
    /^hello\ncicd-result state=failed exit_code=4 reason=exit_code job=[0-9a-f-]{36}\n$/,
  );
});

Deno.test("a secret reaches the job and never its log", async () => {
  await using t = new RunnerBench();
  await t.start();
  const job = await t.runJob({
    project: "web",
    script: 'echo "<$TOKEN>"; [ "$TOKEN" = hunter2-hunter2 ]',
    secrets: { TOKEN: "hunter2-hunter2" },
  });
  assert.equal(job.state, "succeeded");
  const log = await (await t.ask("GET", `/v1/jobs/${job.id}/logs`)).text();
  assert.doesNotMatch(log, /hunter2/);
  assert.match(log, /^<\*+>\n$/);
});

Deno.test("a cancel ends a running job with everything it started", async () => {
  await using t = new RunnerBench();
  await t.start();
  const { body: job } = await t.json("POST", "/v1/jobs", {
    body: { project: "web", script: "sleep 300 & echo $!; wait", grace: "2s" },
  });
  const follow = await t.ask("GET", `/v1/jobs/${job.id}/logs?follow=1`);
  const reader = (follow.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  const pid = Number((await reader.read()).value);
  assert.equal((await t.json("POST", `/v1/jobs/${job.id}/cancel`)).status, 202);
  const { body: ended } = await t.json("GET", `/v1/jobs/${job.id}/wait?timeout=60s`);
  assert.equal(ended.state, "cancelled");
  assert(pid > 1);
  assert.equal(isAlive(pid), false);
  await reader.cancel();
});

Deno.test("a job runs no longer than its time limit", async () => {
  await using t = new RunnerBench();
  await t.start();
  const job = await t.runJob({ project: "web", command: ["sleep", "300"], timeout: "500ms" });
  assert.equal(job.state, "timed_out");
  assert.equal(job.reason, "timeout");
});

Deno.test("SIGTERM ends the runner with 0 and leaves the job alone, which a later runner sees end", async () => {
  await using t = new RunnerBench();
  await t.start();
  const { body: job } = await t.json("POST", "/v1/jobs", {
    body: {
      project: "web",
      script: 'while [ ! -e "$GO" ]; do sleep 0.05; done; exit 5',
      env: { GO: `${t.directory}/go` },
    },
  });
  while ((await t.json("GET", `/v1/jobs/${job.id}`)).body.state !== "running");
  assert.equal((await t.kill("SIGTERM")).code, 0);
  await t.start();
  await Deno.writeTextFile(`${t.directory}/go`, "");
  const { body: ended } = await t.json("GET", `/v1/jobs/${job.id}/wait?timeout=60s`);
  assert.equal(ended.exit_code, 5);
  assert.equal(ended.attempt, 1);
});

Deno.test("/metrics is OpenMetrics and counts what ended", async () => {
  await using t = new RunnerBench();
  await t.start();
  await t.runJob({ project: "web", command: ["true"] });
  const response = await t.ask("GET", "/metrics");
  assert.match(response.headers.get("content-type") ?? "", /^application\/openmetrics-text/);
  const text = await response.text();
  assert.match(
    text,
    /^cicd_attempts_ended_total\{project="web",state="succeeded",reason="exit_code"\} 1$/m,
  );
  assert(text.endsWith("# EOF\n"));
});
