import assert from "node:assert/strict";
import { machineFiles } from "@lib/foundations/host/machine_files.ts";
import { sampleHost } from "@lib/foundations/host/host_sample.ts";
import { reapedFaults } from "../support/processes.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

Deno.test("/v1/host shows the machine, and what a job at work uses of it", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const { body: first } = await bench.json("GET", "/v1/host?sample");
  assert.equal(first.inventory, null);
  assert.equal(first.platform, null);
  assert.deepEqual(first.jobs, []);
  assert(first.cpu.count >= 1 && first.cpu.busy_seconds > 0);
  assert(first.memory.total_bytes > first.memory.available_bytes);
  assert.deepEqual(
    first.disks.map(({ use }: { use: string }) => use),
    ["state", "runtime", "temporary"],
  );
  const script = "touch up; while :; do :; done";
  const { body: job } = await bench.json("POST", "/v1/jobs", {
    body: { project: "web", script, limits: {}, timeout: "60s" },
  });
  let [use]: { cpu_seconds: number | null; tasks: number }[] = [];
  while ((use?.cpu_seconds ?? 0) < 0.05) {
    await pause(50);
    [use] = (await bench.json("GET", "/v1/host?sample")).body.jobs;
  }
  const { body: busy } = await bench.json("GET", "/v1/host?sample");
  assert.equal(busy.jobs[0].id, job.id);
  assert(busy.jobs[0].memory_bytes > 0);
  assert.deepEqual(busy.agents.map(({ project }: { project: string }) => project), ["web"]);
  await bench.json("POST", `/v1/jobs/${job.id}/cancel`);
  await bench.json("GET", `/v1/jobs/${job.id}/wait?timeout=60s`);
  assert.deepEqual((await bench.json("GET", "/v1/host?sample")).body.jobs, []);
});

Deno.test("/v1/host takes the inventory once, and the next runner knows it", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  let inventory = null;
  while (inventory === null) inventory = (await bench.json("GET", "/v1/host")).body.inventory;
  assert(inventory.cpu.cores >= 1);
  assert.equal(inventory.os.arch, Deno.build.arch === "x86_64" ? "x64" : "arm64");
  const { mtime } = await Deno.stat(`${bench.stateDir}/host.json`);
  await bench.kill("SIGTERM");
  await bench.start();
  assert.deepEqual((await bench.json("GET", "/v1/host")).body.inventory, inventory);
  assert.deepEqual((await Deno.stat(`${bench.stateDir}/host.json`)).mtime, mtime);
  const local = await bench.cli(["host", "--local", "--json"]);
  assert.deepEqual(JSON.parse(local.stdout), inventory);
  const shown = await bench.cli(["host"]);
  assert.equal(shown.code, 0, shown.stderr);
  const { provider, distro } = (await bench.json("GET", "/v1/host")).body.platform;
  assert.match(distro, /^[a-z]/);
  if (provider !== null) assert.match(shown.stdout, new RegExp(`^platform {2}.*${provider}`, "m"));
  assert.match(shown.stdout, /^processor {2}.*cores\)$/m);
});

Deno.test("sampleHost() starts no process", async () => {
  const directories = { state: "/", runtime: "/run", temporary: "/tmp" };
  const before = reapedFaults();
  for (let count = 0; count < 100; count++) sampleHost(machineFiles, directories);
  assert.equal(reapedFaults(), before);
  // It would show.
  await new Deno.Command("/bin/true").output();
  assert(reapedFaults() > before);
});
