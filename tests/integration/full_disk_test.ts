import assert from "node:assert/strict";
import { RECORD_PROGRAM, recordResultArgv } from "@lib/spine/executors/record_result.ts";
import { parseResultRecord } from "@lib/spine/executors/result_record.ts";
import { existsSync, prepareDraft } from "@lib/foundations/files/records.ts";
import { mountSmallDisk } from "../support/small_disk.ts";
import { RunnerBench } from "../support/runner_process.ts";

const CONFIG = "retention:\n  min_free_disk: 0\n";
/** Fills the disk to its last byte. */
const FILL = "cat /dev/zero >fill 2>/dev/null\n";

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
      const job = await bench.runJob({ project: "web", script, ...fields });
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
