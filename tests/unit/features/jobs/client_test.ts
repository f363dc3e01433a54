import assert from "node:assert/strict";
import { toProblem } from "@lib/foundations/http/problem.ts";
import { listJobs } from "@lib/api/client/jobs.ts";
import { logSize, openLog, openLogRest, submitJob, waitForEnd } from "@lib/features/jobs/client.ts";
import {
  answer,
  fakeRunner,
  hastyClock,
  hastyReconnect,
  jobAnswer,
} from "../../api/client/_fakes.ts";

const { signal } = new AbortController();
const context = { clock: hastyClock(), reconnect: () => hastyReconnect() };

Deno.test("the requests about jobs name what they ask for", async () => {
  const { runner, sent } = fakeRunner(({ path }) =>
    path.startsWith("/v1/jobs?")
      ? answer(200, { jobs: [], next_cursor: null })
      : answer(200, jobAnswer())
  );
  await listJobs(runner, { project: "web", states: ["queued", "running"], limit: 5 }, signal);
  await submitJob(runner, { request: { project: "web" }, key: "k-1" }, signal);
  await waitForEnd(context, runner, { id: "../x", until: 1_500, signal });
  using _log = await openLog(
    runner,
    { id: "1", from: 7, timestamps: true, stream: "stdout", follow: true },
    signal,
  );
  assert.deepEqual(sent.map(({ method, path }) => `${method} ${path}`), [
    "GET /v1/jobs?project=web&state=queued%2Crunning&limit=5",
    "POST /v1/jobs",
    "GET /v1/jobs/..%2Fx/wait?timeout=2s",
    "GET /v1/jobs/1/logs?stream=stdout&timestamps=1&follow=1&offset=7",
  ]);
  assert.equal(sent[1]?.headers?.["idempotency-key"], "k-1");
  assert.equal(sent[1]?.body, '{"project":"web"}');
});

Deno.test("submitJob() sends the caller's trace, and none that is malformed", async () => {
  const { runner, sent } = fakeRunner(() => answer(200, jobAnswer()));
  const context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  for (const traceparent of [context, undefined, "", "garbage\r\nx: y", `00-${"0".repeat(32)}`]) {
    await submitJob(runner, { request: {}, key: "k", traceparent }, signal);
  }
  assert.deepEqual(
    sent.map(({ headers }) => headers?.["traceparent"]),
    [context, undefined, undefined, undefined, undefined],
  );
});

Deno.test("openLogRest() gives nothing where the log has no more", async () => {
  const { runner, sent } = fakeRunner(() =>
    answer(416, toProblem("range_not_satisfiable", "No more"))
  );
  assert.equal(await openLogRest(runner, { id: "1", from: 9 }, signal), undefined);
  assert.equal(sent[0]?.headers?.["range"], "bytes=9-");
});

Deno.test("logSize() reads the size from the range", async () => {
  const { runner } = fakeRunner(() => answer(206, "x", { "content-range": "bytes 41-41/42" }));
  assert.equal(await logSize(runner, { id: "1" }, signal), 42);
});
