import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { systemClock } from "@lib/core/clock.ts";
import { recordLog } from "@lib/spine/logs/log_recorder.ts";
import { logExtent } from "@lib/spine/logs/log_source.ts";
import { LogWatcher } from "@lib/spine/logs/log_watcher.ts";
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import { containerContract } from "../support/container_bench.ts";
import { useDockerEngine } from "../support/container_suite.ts";
import { proxyEngine } from "../support/engine_proxy.ts";
import { Bench, deadline, logged, script } from "../support/executor_contract.ts";

const use = useDockerEngine();
const CONTRACT = containerContract(use);
const MIB = 1024 ** 2;

/** Numbered lines, 64 bytes each, made by awk faster than by a shell. */
const lines = (count: number) =>
  `awk 'BEGIN { for (i = 0; i < ${count}; i++) printf "%063d\\n", i }'`;

function expected(count: number): string {
  const hash = createHash("sha256");
  for (let i = 0; i < count; i++) hash.update(`${String(i).padStart(63, "0")}\n`);
  return hash.digest("hex");
}

function hashOf(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

/** As the agent does: the log is recorded while the job runs. */
async function runRecorded(
  bench: Bench,
  request: AttemptRequest,
): Promise<{ readonly bytes: number; readonly dropped: number | undefined }> {
  const executor = await bench.executor();
  await executor.start(request, deadline());
  const { output, logMaxBytes: maxBytes } = request.spec;
  const recording = recordLog({
    directory: request.directory,
    output,
    maxBytes,
    clock: systemClock,
    watcher: new LogWatcher({ clock: systemClock }),
    onFailure: (error) => assert.fail(String(error)),
    signal: deadline(),
  });
  await executor.ended(request, deadline());
  const { logBytes: bytes } = await recording.finish();
  const source = { directory: request.directory, output, maxBytes, settled: true };
  const { droppedBytes } = await logExtent(source, output === "merged" ? "merged" : "all");
  return { bytes, dropped: droppedBytes };
}

Deno.test("ContainerExecutor brings 16 MB of output over byte for byte", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request(script(lines(MIB / 4)), { logMaxBytes: 64 * MIB });
  await executor.start(request, deadline());
  assert.equal((await executor.ended(request, deadline())).state, "succeeded");
  assert.equal(hashOf(request.directory.logFile("merged")), expected(MIB / 4));
});

Deno.test("ContainerExecutor does not read a long output twice, and yet has its end", async () => {
  const line = "y".repeat(99);
  const count = 100_000;
  using proxy = proxyEngine(use.engine.socket);
  await using bench = new Bench(containerContract(proxy));
  const executor = await bench.executor();
  const request = bench.request(script(`yes ${line} | head -n ${count}`), {
    logMaxBytes: 64 * MIB,
  });
  await executor.start(request, deadline());
  await executor.ended(request, deadline());
  assert.equal(Deno.statSync(request.directory.logFile("merged")).size, count * 100);
  // Beside the line a frame has its header, and the time of the record.
  const once = count * (100 + 8 + 36);
  assert(proxy.answeredBytes < 1.1 * once, `the engine sent ${proxy.answeredBytes} bytes`);
});

Deno.test("ContainerExecutor keeps bytes that are not text, and an unterminated line", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request(script("printf '\\377\\0\\200x\\n'; printf 'no end'"));
  await executor.start(request, deadline());
  await executor.ended(request, deadline());
  const bytes = Deno.readFileSync(request.directory.logFile("merged"));
  assert.deepEqual([...bytes], [255, 0, 128, 120, 10, ...new TextEncoder().encode("no end")]);
});

Deno.test("ContainerExecutor goes on with the log where an earlier instance stopped", async () => {
  for (const output of ["merged", "split"] as const) {
    await using bench = new Bench(CONTRACT);
    const first = await bench.executor();
    const request = bench.request(
      script(`${lines(1_000)}
echo ready${output === "split" ? ">&2" : ""}
while [ ! -e go ]; do sleep 0.01; done
${lines(50_000)}
echo trouble >&2
exit 3`),
      { output, logMaxBytes: 64 * MIB },
    );
    await first.start(request, deadline());
    const ready = output === "split" ? "stderr" : "merged";
    const signal = deadline();
    while (!Deno.readTextFileSync(request.directory.logFile(ready)).includes("ready")) {
      await systemClock.sleep(5, { signal });
    }
    await first[Symbol.asyncDispose]();
    Deno.writeTextFileSync(`${request.directory.workspace}/go`, "");

    // Cut off wherever it was: what is on disk is all that a later one knows.
    const second = await bench.executor();
    const waiting = second.ended(request, deadline());
    await second[Symbol.asyncDispose]();
    await assert.rejects(waiting);

    const outcome = await (await bench.executor()).ended(request, deadline());
    assert.equal(outcome.exitCode, 3, outcome.message);
    const text = Deno.readTextFileSync(
      request.directory.logFile(output === "split" ? "stdout" : "merged"),
    );
    const numbers = text.split("\n").filter((line) => /^\d{63}$/.test(line)).map(Number);
    assert.deepEqual(numbers, [
      ...Array.from({ length: 1_000 }, (_, i) => i),
      ...Array.from({ length: 50_000 }, (_, i) => i),
    ]);
    const errors = output === "split"
      ? Deno.readTextFileSync(request.directory.logFile("stderr"))
      : text;
    assert.equal(errors.match(/ready/g)?.length, 1);
    assert.equal(errors.match(/trouble/g)?.length, 1);
  }
});

Deno.test("ContainerExecutor stops at the cap, and readers learn how much was dropped", async () => {
  const maxBytes = 100_000;
  for (const output of ["merged", "split"] as const) {
    await using bench = new Bench(CONTRACT);
    const request = bench.request(script(lines(5_000)), { output, logMaxBytes: maxBytes });
    const { bytes, dropped } = await runRecorded(bench, request);
    assert.equal(bytes, maxBytes);
    const path = request.directory.logFile(output === "merged" ? "merged" : "stdout");
    const kept = Deno.readFileSync(path).subarray(0, maxBytes);
    assert(!kept.includes(0), "something else than output has a place in the log");
    assert((dropped ?? 0) >= 1);
    if (output === "merged") assert.equal(dropped, 5_000 * 64 - maxBytes);
  }
});

Deno.test("ContainerExecutor is not filled up by a job that never stops writing", async () => {
  await using bench = new Bench(CONTRACT);
  const executor = await bench.executor();
  const request = bench.request(script("while :; do echo ready; done | cat"), {
    logMaxBytes: 4_096,
    graceMs: 0,
  });
  await executor.start(request, deadline());
  await logged(request, "ready");
  await executor.stop(request, { reason: "cancelled", by: "by request" }, deadline());
  const outcome = await executor.ended(request, deadline());
  assert.equal(outcome.state, "cancelled");
  assert(Deno.statSync(request.directory.logFile("merged")).blocks !== null);
});
