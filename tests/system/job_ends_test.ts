import assert from "node:assert/strict";
import { bootSuite } from "../support/suite_in_machine.ts";

Deno.test("jobs are cancelled, timed out, retried and superseded", async (t) => {
  await using suite = await bootSuite();

  await t.step("cancel lets a job tidy up within its grace", async () => {
    const script = "trap 'echo tidy; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    const { id } = await suite.submit({ project: "web", script, grace: "10s" });
    await suite.machine.waitFor("the job", async () => (await suite.log(id)) === "ready\n");
    assert.equal((await suite.ask("POST", `/v1/jobs/${id}/cancel`)).status, 202);
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.reason], ["cancelled", "cancelled"]);
    // Between the two the shell may tell that its `sleep` was terminated.
    assert.match(await suite.log(id), /^ready\n(Terminated\n)?tidy\n$/);
    assert.equal((await suite.ask("POST", `/v1/jobs/${id}/cancel`)).status, 200);
  });

  await t.step("cancel leaves nothing of a hostile tree", async () => {
    const script = [
      "trap '' TERM INT HUP",
      "for i in 1 2 3; do setsid sh -c \"trap '' TERM; while :; do sleep 4242; done\" & done",
      "(setsid sh -c 'trap \"\" TERM; (sleep 4242 &) ; sleep 4242' &)",
      "echo ready",
      "while :; do sleep 4242; done",
    ].join("\n");
    const { id } = await suite.submit({ project: "web", script, grace: "1s" });
    await suite.machine.waitFor("the job", async () => (await suite.log(id)) === "ready\n");
    await suite.ask("POST", `/v1/jobs/${id}/cancel`);
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.signal], ["cancelled", "SIGKILL"]);
    assert.equal((await suite.machine.exec(["pgrep", "-f", "4242"])).stdout, "");
    assert.equal(await suite.show(`cicd-job-${id}-1.service`, "LoadState"), "not-found");
  });

  await t.step("what a job leaves in the background ends with it", async () => {
    const script = "setsid sleep 4243 >/dev/null 2>&1 & sleep 0.1; exit 5";
    const { id } = await suite.submit({ project: "web", script, grace: "1s" });
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.exit_code], ["failed", 5]);
    assert.equal((await suite.machine.exec(["pgrep", "-f", "sleep 4243"])).stdout, "");
  });

  await t.step("a queued job is cancelled at once", async () => {
    await suite.ask("POST", "/v1/queue/pause");
    const { id } = await suite.submit({ project: "web", script: "true" });
    const { status, text } = await suite.ask("POST", `/v1/jobs/${id}/cancel`);
    assert.equal(status, 200);
    assert.equal(JSON.parse(text).state, "cancelled");
    await suite.ask("POST", "/v1/queue/resume");
  });

  await t.step("a time limit ends a job as timed_out", async () => {
    const { id } = await suite.submit({
      project: "web",
      script: "trap 'exit 0' TERM; while :; do sleep 0.05; done",
      timeout: "1s",
      grace: "1s",
    });
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.reason], ["timed_out", "timeout"]);
  });

  await t.step("retry gives an ended job a further attempt, and keeps both logs", async () => {
    const script = 'echo "attempt $CICD_ATTEMPT"; [ "$CICD_ATTEMPT" = 2 ]';
    const { id } = await suite.submit({ project: "web", script });
    assert.equal((await suite.ended(id)).exit_code, 1);
    assert.equal((await suite.ask("POST", `/v1/jobs/${id}/retry`)).status, 202);
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.attempt], ["succeeded", 2]);
    assert.equal(await suite.log(id), "attempt 1\nattempt 2\n");
  });

  await t.step("a retry policy does so by itself", async () => {
    const script = 'echo "attempt $CICD_ATTEMPT"; exit 9';
    const { id } = await suite.submit({
      project: "web",
      script,
      retries: { max: 2, on: ["failed"] },
    });
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.exit_code, job.attempt], ["failed", 9, 3]);
    assert.equal(await suite.log(id), "attempt 1\nattempt 2\nattempt 3\n");
  });

  await t.step("a missing program is reported as such", async () => {
    const { id } = await suite.submit({ project: "web", command: ["/no/such/program"] });
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.reason, job.exit_code], ["failed", "exec_failed", 127]);
  });

  await t.step("a newer job of a group supersedes the one that runs", async () => {
    const group = { concurrency_group: "deploy", cancel_in_progress: true, grace: "1s" };
    const old = await suite.submit({ project: "web", script: "sleep 30", ...group });
    await suite.until(old.id, ["running"]);
    const young = await suite.submit({ project: "web", script: "echo done", ...group });
    const [first, second] = await Promise.all([suite.ended(old.id), suite.ended(young.id)]);
    assert.deepEqual([first.state, first.reason], ["cancelled", "superseded"]);
    assert.equal(second.state, "succeeded");
  });

  await t.step("neither program found anything to warn about", async () => {
    assert.equal(await suite.journal("warning"), "");
  });
});
