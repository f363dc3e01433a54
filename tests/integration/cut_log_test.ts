import assert from "node:assert/strict";
import { readJob } from "@lib/api/client/jobs.ts";
import { RunnerBench } from "../support/runner_process.ts";

const NOTE = "[cicd-toolkit] log limit 4K reached: at least ";
const LOG_BYTES = 2 * 4_096;

Deno.test("a log cut at log_max says so after each attempt, on every way of reading", async () => {
  await using t = new RunnerBench();
  await t.start();
  const { body } = await t.json("POST", "/v1/jobs", {
    body: { project: "web", script: "head -c 20000 /dev/zero | tr '\\0' x", log_max: "4K" },
  });
  await t.json("GET", `/v1/jobs/${body.id}/wait?timeout=60s`);
  await t.json("POST", `/v1/jobs/${body.id}/retry`);
  const { body: job } = await t.json("GET", `/v1/jobs/${body.id}/wait?timeout=60s`);
  const { body: shown } = await t.json("GET", `/v1/jobs/${job.id}`);
  const dropped = (readJob(shown).attempts ?? []).map((attempt) => attempt.log_dropped_bytes ?? 0);
  assert.equal(dropped.length, 2);
  assert(dropped.every((bytes) => bytes > 0), JSON.stringify(dropped));

  const path = `/v1/jobs/${job.id}/logs`;
  const read = async (query: string, headers: Record<string, string> = {}) => {
    const response = await t.ask("GET", path + query, { headers });
    return { headers: response.headers, text: await response.text() };
  };
  for (const query of ["", "?follow=1", "?timestamps=1", "?offset=5"]) {
    const { text } = await read(query);
    assert.equal(text.split(NOTE).length, 3, query);
    assert.match(
      text,
      /x\n(\S+Z )?\[cicd-toolkit\] .*\n(\S+Z )?x+\n(\S+Z )?\[cicd-toolkit\] .*\n$/,
    );
  }
  const events = await read("", { accept: "text/event-stream" });
  assert.equal(events.text.split(NOTE).length, 3);
  assert.match(events.text, new RegExp(`event: end\\nid: ${LOG_BYTES}\\n`));
  for (const headers of [{ accept: "text/plain" }, { range: "bytes=0-" }]) {
    const counted = await read("", headers);
    assert.equal(counted.text, "x".repeat(LOG_BYTES));
    const sum = dropped.reduce((total, bytes) => total + bytes, 0);
    assert.equal(counted.headers.get("x-log-dropped-bytes"), String(sum));
  }

  const cli = async (...args: string[]) => {
    const { stdout, stderr } = await t.cli(args);
    return { stdout, stderr };
  };
  assert.equal((await cli("logs", job.id)).stdout.split(NOTE).length, 3);
  const followed = await cli("logs", "-f", job.id);
  assert.equal(followed.stdout, "x".repeat(LOG_BYTES));
  assert.match(followed.stderr, /attempt 1 was cut: at least \d+ bytes[^]*attempt 2 was cut/);
  for (const flags of [["--json"], ["--json", "-f"]]) {
    const { stdout } = await cli("logs", ...flags, job.id);
    const events = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(
      events.filter(({ event }) => event === "log_cut"),
      dropped.map((bytes, at) => ({ event: "log_cut", attempt: at + 1, dropped_bytes: bytes })),
    );
  }
  assert.match((await cli("show", job.id)).stdout, /attempt 1 cut: .*attempt 2 cut: /);
});

Deno.test("output without a last newline does not run into the line about the result", async () => {
  await using t = new RunnerBench();
  await t.start();
  const followed = await t.ask("POST", "/v1/jobs?follow=1", {
    body: { project: "web", script: "printf unfinished" },
  });
  assert.match(await followed.text(), /^unfinished\ncicd-result state=succeeded .*\n$/);
  const run = ["run", "-p", "web", "--", "printf", "unfinished"];
  const apart = await t.cli(run);
  assert.equal(apart.stdout, "unfinished");
  assert.match(apart.stderr, /^cicd-runner: job /);
  const words = [
    Deno.execPath(),
    "run",
    "--quiet",
    "--allow-all",
    t.main,
    "run",
    `--socket=${t.socket}`,
  ];
  const line = [...words, ...run.slice(1)].join(" ");
  for (const args of [["sh", "-c", `${line} 2>&1`], ["script", "-qec", line, "/dev/null"]]) {
    const [program = "", ...rest] = args;
    const child = new Deno.Command(program, { args: rest, env: { TERM: "dumb" }, stdin: "null" });
    const { stdout } = await child.output();
    assert.match(
      new TextDecoder().decode(stdout),
      /^unfinished\r?\ncicd-runner: job .* succeeded/,
      program,
    );
  }
});
