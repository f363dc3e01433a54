import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { toProblem } from "@lib/foundations/http/problem.ts";
import { ConnectionLostError } from "@lib/api/client/transport.ts";
import { answer, bytesOf, fakeRunner, streamOf } from "./_fakes.ts";

const { signal } = new AbortController();
const status = { path: "/v1/status", signal };
const submission = { method: "POST", path: "/v1/jobs", body: {}, signal } as const;

Deno.test("RunnerTransport says how to start a runner that is not there", async () => {
  const { runner } = fakeRunner(() => Promise.reject(new Deno.errors.NotFound("No socket")));
  await assert.rejects(runner.json(status), (error) => {
    assert.ok(error instanceof ConnectionLostError);
    assert.equal(error.isListening, false);
    assert.match(error.message, /systemctl --user start cicd-runner\.socket/);
    assert.match(error.message, /cicd-runner daemon/);
    assert.equal(error.entry.exitCode, 69);
    return true;
  });
});

Deno.test("RunnerTransport says whose the socket is if it may not be used", async () => {
  const cause = Object.assign(new Error("denied"), { code: "EACCES" });
  const { runner } = fakeRunner(() =>
    Promise.reject(new CicdError("io_failed", "broke", { cause }))
  );
  await assert.rejects(runner.json(status), /belongs to another account/);
});

Deno.test("RunnerTransport turns a problem document into its error", async () => {
  const issues = [{ path: "limits.memory", message: "is wrong" }];
  const { runner } = fakeRunner(() => answer(422, toProblem("invalid_request", "Cannot", issues)));
  await assert.rejects(runner.json(submission), (error) => {
    assert.ok(error instanceof CicdError);
    assert.equal(error.code, "invalid_request");
    assert.deepEqual(error.issues, issues);
    return true;
  });
});

Deno.test("RunnerTransport reports when a rejected request may be retried", async () => {
  const { runner } = fakeRunner(() =>
    answer(429, toProblem("queue_full", "No room"), { "retry-after": "10" })
  );
  await assert.rejects(runner.json(submission), {
    code: "queue_full",
    message: "No room; try again in 10 s",
  });
});

Deno.test("RunnerTransport treats too many connections as a runner that is away", async () => {
  const { runner } = fakeRunner(() => answer(503, toProblem("too_many_connections", "Too many")));
  await assert.rejects(runner.json(status), ConnectionLostError);
});

Deno.test("RunnerTransport rejects what is not a runner", async () => {
  for (const response of [answer(200, "<html>"), answer(404, "not here")]) {
    const { runner } = fakeRunner(() => response);
    await assert.rejects(runner.json(status), /the process that listens there is not cicd-runner/);
  }
});

Deno.test("RunnerTransport reports a truncated body", async () => {
  const { runner } = fakeRunner(() => ({
    ...answer(200, ""),
    body: streamOf([bytesOf("a")], "broken").body,
  }));
  using response = await runner.open({ path: "/v1/jobs/1/logs", signal });
  await assert.rejects(Array.fromAsync(response.body), ConnectionLostError);
});

Deno.test("RunnerTransport passes on the caller's own failure while reading", async () => {
  const { runner } = fakeRunner(() => answer(200, "text"));
  using response = await runner.open({ path: "/v1/jobs/1/logs", signal });
  await assert.rejects(async () => {
    for await (const _ of response.body) throw new Error("mine");
  }, /mine/);
});

Deno.test("RunnerTransport.open() gives up on a runner that does not begin to answer", async () => {
  const { runner } = fakeRunner(
    (request) =>
      new Promise((_, reject) =>
        request.signal.addEventListener("abort", () => reject(request.signal.reason))
      ),
    { answerWithinMs: 20 },
  );
  await assert.rejects(runner.open({ path: "/v1/events", signal }), { code: "deadline_exceeded" });
});

Deno.test("RunnerTransport.open() leaves the body all the time it takes", async () => {
  const { runner, sent } = fakeRunner(() => answer(200, "late"), { answerWithinMs: 20 });
  using response = await runner.open({ path: "/v1/jobs/x/log", signal });
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(sent[0]?.signal.aborted, false);
  assert.equal(response.status, 200);
});
