import assert from "node:assert/strict";
import { RECORD_PROGRAM, recordResultArgv } from "@lib/spine/executors/record_result.ts";
import { parseResultRecord } from "@lib/spine/executors/result_record.ts";
import { existsSync, prepareDraft } from "@lib/foundations/files/records.ts";
import { Reserve } from "@lib/foundations/store/reserve.ts";
import { diskSpace } from "@lib/foundations/store/disk_space.ts";
import { mountSmallDisk } from "../support/small_disk.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

const CONFIG = "retention:\n  min_free_disk: 0\n";
/** Fills the disk to its last byte. */
const FILL = "cat /dev/zero >fill 2>/dev/null\n";

/** Runs a job, as soon as there is room for it. */
async function submitted(bench: RunnerBench, body: Readonly<Record<string, unknown>>) {
  let job: { readonly id?: string } = {};
  await until("there is room", async () => {
    const answer = await bench.json("POST", "/v1/jobs", { body });
    job = answer.body;
    return answer.status === 201;
  });
  return (await bench.json("GET", `/v1/jobs/${job.id}/wait?timeout=60s`)).body;
}

Deno.test("a job that fills the disk ends as it ended, once", async (t) => {
  await using disk = await mountSmallDisk("24M");
  if (disk === undefined) return;
  await using bench = new RunnerBench({ config: CONFIG, stateDir: disk.path });
  await bench.start();
  const cases = [
    ["with its exit code", "exit 7", {}, "failed", "exit_code", 7, null],
    ["with the code of a signal", "exit 143", {}, "failed", "exit_code", 143, null],
    ["by a signal", "kill -KILL $$", {}, "failed", "signal", null, "SIGKILL"],
    ["at its time limit", "sleep 60", { timeout: "2s" }, "timed_out", "timeout", null, "SIGTERM"],
  ] as const;
  for (const [name, end, fields, state, reason, exitCode, signal] of cases) {
    await t.step(name, async () => {
      const script = `${FILL}${end}`;
      const job = await submitted(bench, { project: "web", script, errexit: false, ...fields });
      assert.equal(job.state, state, job.message);
      assert.equal(job.reason, reason, job.message);
      assert.equal(job.exit_code, exitCode);
      assert.equal(job.signal, signal);
      assert.equal(job.attempt, 1);
    });
  }
});

Deno.test("RECORD_PROGRAM writes over its draft on a full disk, and leaves no part of a record", async () => {
  await using disk = await mountSmallDisk("1M");
  if (disk === undefined) return;
  const resultFile = `${disk.path}/result`;
  await Deno.writeTextFile(`${disk.path}/recorder`, RECORD_PROGRAM);
  const record = async () => {
    const [program, ...args] = recordResultArgv({
      recorder: `${disk.path}/recorder`,
      resultFile,
      unit: "cicd-job-none-1.service",
      runtimeDir: disk.path,
    });
    await new Deno.Command(program, {
      args,
      clearEnv: true,
      env: { SERVICE_RESULT: "exit-code", EXIT_CODE: "exited", EXIT_STATUS: "7" },
    }).output();
  };
  prepareDraft(resultFile);
  await new Deno.Command("dd", { args: ["if=/dev/zero", `of=${disk.path}/fill`], stderr: "null" })
    .output();
  await record();
  const parsed = parseResultRecord(await Deno.readTextFile(resultFile));
  assert(parsed.kind === "record");
  assert.deepEqual(parsed.record.end, { kind: "exited", exitCode: 7 });
  await Deno.remove(resultFile);
  await new Deno.Command("dd", { args: ["if=/dev/zero", `of=${disk.path}/more`], stderr: "null" })
    .output();
  await record();
  assert.equal(existsSync(resultFile), false);
});

/** Fills a disk from outside, as far as it goes; called again, it fills what has become free. */
async function fillUp(path: string, name: string): Promise<void> {
  const args = ["if=/dev/zero", `of=${path}/${name}`, "bs=4k"];
  await new Deno.Command("dd", { args, stderr: "null" }).output();
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!await check()) {
    assert(Date.now() < deadline, `not within 30 s: ${what}`);
    await pause(50);
  }
}

const greedy = {
  project: "web",
  script: "while :; do cat /dev/zero >>fill 2>/dev/null || :; done",
};

Deno.test("a job that keeps the disk full is cancelled, and the next one runs by itself", async () => {
  await using disk = await mountSmallDisk("24M");
  if (disk === undefined) return;
  await using bench = new RunnerBench({ config: CONFIG, stateDir: disk.path });
  await bench.start();
  for (let round = 0; round < 3; round++) {
    const { body: job } = await bench.json("POST", "/v1/jobs", { body: greedy });
    await until("the disk is full", () => Promise.resolve(diskSpace(disk.path).freeBytes === 0));
    const refused = await bench.json("POST", "/v1/jobs", { body: { ...greedy, script: "true" } });
    assert.equal(refused.status, 507);
    assert.equal(refused.body.code, "disk_full");
    assert.match(refused.body.detail, /the disk is full.*free some space/);
    const cancel = await bench.json("POST", `/v1/jobs/${job.id}/cancel`);
    // The job may be faster than the record, but it is stopped.
    assert([200, 202, 507].includes(cancel.status), JSON.stringify(cancel));
    const { body: ended } = await bench.json("GET", `/v1/jobs/${job.id}/wait?timeout=30s`);
    assert.equal(ended.state, "cancelled", ended.message);
    assert.equal(ended.attempt, 1);
    assert.equal((await submitted(bench, { project: "web", script: ":" })).state, "succeeded");
  }
});

Deno.test("on a full disk jobs wait with the reason, across restarts, and go on by themselves", async () => {
  await using disk = await mountSmallDisk("24M");
  if (disk === undefined) return;
  await using bench = new RunnerBench({
    config: `${CONFIG}queue:\n  max_running: 1\n`,
    stateDir: disk.path,
  });
  await bench.start();
  const submit = async (script: string) =>
    (await bench.json("POST", "/v1/jobs", { body: { project: "web", script } })).body.id;
  await submit("while [ ! -e go ]; do sleep 0.1; done");
  const [first, second] = [await submit("exit 4"), await submit("exit 5")];
  const work = `${disk.path}/projects/web/workspaces/1`;
  await until("the first job runs", () => Promise.resolve(existsSync(`${disk.path}/reserve`)));
  await until("the first job runs", () => Promise.resolve(existsSync(work)));
  await fillUp(disk.path, "filler");
  await Deno.create(`${work}/go`).then((file) => file.close());
  const waiting = async (id: string) => (await bench.json("GET", `/v1/jobs/${id}`)).body.waiting;
  await until("the reason", async () => /the disk is full/.test(await waiting(first) ?? ""));
  const ready = await bench.json("GET", "/readyz");
  assert.equal(ready.status, 503);
  assert.match(JSON.stringify(ready.body), /the disk is full/);
  const cancelled = await bench.json("POST", `/v1/jobs/${second}/cancel`);
  assert.equal(cancelled.status, 200, JSON.stringify(cancelled.body));
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await bench.kill(signal);
    await fillUp(disk.path, `filler-${signal}`);
    await bench.start();
    await until("the reason", async () => /the disk is full/.test(await waiting(first) ?? ""));
  }
  for await (const { name } of Deno.readDir(disk.path)) {
    if (name.startsWith("filler")) await Deno.remove(`${disk.path}/${name}`);
  }
  const { body: job } = await bench.json("GET", `/v1/jobs/${first}/wait?timeout=30s`);
  assert.equal(job.exit_code, 4, job.message);
  assert.equal((await bench.json("GET", `/v1/jobs/${second}`)).body.state, "cancelled");
  assert.equal((await Deno.stat(`${disk.path}/reserve`)).size, 1024 * 1024);
});

Deno.test("cleaning works without a free byte, even where the reserve is used up", async (t) => {
  await using disk = await mountSmallDisk("24M");
  if (disk === undefined) return;
  await using bench = new RunnerBench({
    config: `${CONFIG}  max_jobs: 1\n`,
    stateDir: disk.path,
  });
  await bench.start();
  for (const [name, path] of [["a sweep", "/v1/retention/sweep"], ["clean", "/v1/housekeeping"]]) {
    for (const reserve of ["held", "used up"]) {
      await t.step(`${name}, the reserve is ${reserve}`, async () => {
        const jobs: string[] = [];
        for (let count = 0; count < 3; count++) {
          const job = await bench.runJob({ project: "web", script: "seq 100000" });
          assert.equal(job.state, "succeeded", job.message);
          jobs.push(job.id);
        }
        if (reserve === "used up") await Deno.truncate(`${disk.path}/reserve`);
        await fillUp(disk.path, "filler");
        const swept = await bench.json("POST", `${path}`);
        assert.equal(swept.status, 200, JSON.stringify(swept.body));
        for (const id of jobs.slice(0, 2)) {
          assert.equal((await bench.json("GET", `/v1/jobs/${id}`)).status, 404);
        }
        assert(diskSpace(disk.path).freeBytes > 0);
        await Deno.remove(`${disk.path}/filler`);
      });
    }
  }
  const { stderr } = await bench.kill("SIGTERM");
  assert.doesNotMatch(stderr, /\n\s+at /);
});

Deno.test("Reserve says what is in its place, and takes it once that is gone", async () => {
  const state = await Deno.makeTempDir({ prefix: "reserve-" });
  await using _state = { [Symbol.asyncDispose]: () => Deno.remove(state, { recursive: true }) };
  await Deno.mkdir(`${state}/reserve`);
  const reserve = new Reserve(state);
  assert.match(reserve.problem() ?? "", /no space can be held back .*reserve" \(.*directory/i);
  await Deno.remove(`${state}/reserve`);
  assert.equal(reserve.problem(), undefined);
  assert.equal((await Deno.stat(`${state}/reserve`)).size, 1024 * 1024);
});
