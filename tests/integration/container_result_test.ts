import assert from "node:assert/strict";
import { newJobId } from "@lib/core/ids.ts";
import { enforceEnd } from "@lib/features/containers/container_stop.ts";
import { formatContainerEnd } from "@lib/features/containers/container_result.ts";
import { parseResultRecord } from "@lib/spine/executors/result_record.ts";
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { makeSpec, projectName } from "../support/job_fixtures.ts";

Deno.test("formatContainerEnd() believes the kernel about an out-of-memory kill, and no end before the start", async () => {
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

    // Docker can note the start of a short container after its end.
    const info = { exitCode: 0, oomKilled: false, startedAt: 7, finishedAt: 5 };
    assert.match(formatContainerEnd(attempt, { info, usage: {}, now: 9 }), /finished_at_ms=7$/m);
  } finally {
    await Deno.remove(stateDir, { recursive: true });
  }
});

for (const limit of [true, false]) {
  const why = limit ? "beyond its time limit" : "at a stop request";
  Deno.test(`enforceEnd() stops a container ${why} that cannot be recorded`, async () => {
    const ref = { project: projectName(), jobId: newJobId(), number: 1 };
    const spec = makeSpec({ graceMs: 500, timeoutMs: 60_000 });
    // Nothing can be written there.
    const attempt = { ref, spec, directory: attemptDirectory("/dev/null/state", ref) };
    const clock = new FakeClock();
    const over = new AbortController();
    const kills: string[] = [];
    const killContainer = (_name: string, signal: string) =>
      Promise.resolve(void kills.push(signal));
    const done = enforceEnd({ killContainer }, attempt, {
      container: "container",
      startedAt: clock.now(),
      stopRequested: limit ? new Promise(() => {}) : Promise.resolve(),
      clock,
      signal: over.signal,
    });
    await clock.tick(limit ? 59_999 : 499);
    assert.deepEqual(kills, limit ? [] : ["SIGTERM"]);
    await clock.tick(501);
    assert.deepEqual(kills.slice(0, 2), ["SIGTERM", "SIGKILL"]);
    over.abort(new DOMException("The container has ended", "AbortError"));
    await assert.rejects(done, { name: "AbortError" });
  });
}
