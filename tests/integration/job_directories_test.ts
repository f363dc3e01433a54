import assert from "node:assert/strict";
import { existsSync } from "@lib/foundations/files/records.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

async function gone(path: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (existsSync(path)) {
    assert(Date.now() < deadline, `${path} stays`);
    await pause(20);
  }
}

Deno.test("a job has a TMPDIR of its own, out of its globs' reach, that goes with it", async () => {
  await using bench = new RunnerBench({});
  await bench.start();
  const script = 'printf %s "$TMPDIR" >t; touch "$(mktemp -d)/x"; echo *; ls -A "$TMPDIR"; exit 3';
  const body = { project: "web", script, artifacts: { paths: ["**"], when: "always" } };
  const job = await bench.runJob(body);
  assert.equal(job.exit_code, 3);
  const kept = await bench.json("GET", `/v1/jobs/${job.id}/artifacts`);
  assert.deepEqual(kept.body.files.map(({ path }: { path: string }) => path), ["t"]);
  const text = await (await bench.ask("GET", `/v1/jobs/${job.id}/artifacts/t`)).text();
  assert.ok(text.startsWith(`${bench.stateDir}/`), text);
  await gone(text);
});

Deno.test("a cache that holds paths of its workspace is good in the next job", async () => {
  await using bench = new RunnerBench({});
  await bench.start();
  // As a virtual environment does: it calls the programs at the path where it was made.
  const script = `[ -e env/tool ] || {
  mkdir env; echo 'echo built' >env/real; echo "sh $PWD/env/real" >env/tool
}
sh env/tool; pwd >where; ls`;
  const body = {
    project: "web",
    script,
    caches: [{ name: "env", paths: ["env"] }],
    artifacts: { paths: ["where"] },
  };
  const seen: string[] = [];
  for (let round = 0; round < 2; round++) {
    const job = await bench.runJob(body);
    assert.equal(job.state, "succeeded", job.message);
    seen.push(await (await bench.ask("GET", `/v1/jobs/${job.id}/artifacts/where`)).text());
    const log = await (await bench.ask("GET", `/v1/jobs/${job.id}/logs`)).text();
    assert.match(log, /built\nenv\nwhere\n/);
    await bench.kill();
    await bench.start();
  }
  assert.deepEqual(seen, Array(2).fill(`${bench.stateDir}/projects/web/workspaces/1\n`));
});

Deno.test("no path that a job is given looks like a token to npm, whose log replaces UUIDs", async () => {
  await using bench = new RunnerBench({});
  await bench.start();
  const job = await bench.runJob({ project: "web", script: "pwd; env | grep =/" });
  const log = await (await bench.ask("GET", `/v1/jobs/${job.id}/logs`)).text();
  assert.match(log, /TMPDIR=/);
  assert.doesNotMatch(log, /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i);
});
