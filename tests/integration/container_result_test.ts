import assert from "node:assert/strict";
import { newJobId } from "@lib/core/ids.ts";
import { formatContainerEnd } from "@lib/features/containers/container_result.ts";
import { parseResultRecord } from "@lib/spine/executors/result_record.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import { makeSpec, projectName } from "../support/job_fixtures.ts";

Deno.test("formatContainerEnd() believes the kernel about an out-of-memory kill, whatever the engine says", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "cicd-result-" });
  try {
    const ref = { project: projectName(), jobId: newJobId(), number: 1 };
    const spec = makeSpec();
    const attempt: AttemptHandle = { ref, spec, directory: attemptDirectory(stateDir, ref) };
    const end = (oomKilled: boolean, oomKills?: number) => {
      const usage = oomKills === undefined ? {} : { oomKills };
      const info = { exitCode: 137, oomKilled, startedAt: 1, finishedAt: 5 };
      const parsed = parseResultRecord(formatContainerEnd(attempt, { info, usage, now: 5 }));
      assert(parsed.kind === "record");
      return [parsed.record.serviceResult, parsed.record.oomKills];
    };
    assert.deepEqual(end(false, 2), ["oom-kill", 2]);
    assert.deepEqual(end(true), ["oom-kill", 1]);
    assert.deepEqual(end(false, 0), ["exit-code", 0]);
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
});
