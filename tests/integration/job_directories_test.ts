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
