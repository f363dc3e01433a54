import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { toProblem } from "@lib/foundations/http/problem.ts";
import type { UnixRequest, UnixResponse } from "@lib/foundations/http/unix_client.ts";
import { ConnectionLostError } from "@lib/api/client/connection_lost.ts";
import { RunnerClient } from "@lib/features/jobs/client/runner_client.ts";
import { RunnerTransport } from "@lib/api/client/transport.ts";
import { bytesOf, jobAnswer, streamOf } from "../../features/jobs/client/_fakes.ts";

const { signal } = new AbortController();

function answer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): UnixResponse {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return {
    ...streamOf([bytesOf(text)], "whole"),
    status,
    headers,
    text: () => Promise.resolve(text),
  };
}

function setup(send: (request: UnixRequest) => UnixResponse | Promise<UnixResponse>) {
  const sent: UnixRequest[] = [];
  const transport = new RunnerTransport({
    socketPath: "/run/user/1000/cicd-runner.sock",
    sender: {
      send: async (request) => {
        sent.push(request);
        return await send(request);
      },
      [Symbol.dispose]() {},
    },
  });
  return { sent, transport, client: new RunnerClient(transport) };
}

Deno.test("RunnerTransport says how to start a runner that is not there", async () => {
  const { client } = setup(() => Promise.reject(new Deno.errors.NotFound("No socket")));
  await assert.rejects(client.status(signal), (error) => {
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
  const { client } = setup(() => Promise.reject(new CicdError("io_failed", "broke", { cause })));
  await assert.rejects(client.status(signal), /belongs to another account/);
});

Deno.test("RunnerTransport turns a problem document into its error", async () => {
  const issues = [{ path: "limits.memory", message: "is wrong" }];
  const { client } = setup(() => answer(422, toProblem("invalid_request", "Cannot", issues)));
  await assert.rejects(client.submit({}, "key", signal), (error) => {
    assert.ok(error instanceof CicdError);
    assert.equal(error.code, "invalid_request");
    assert.deepEqual(error.issues, issues);
    return true;
  });
});

Deno.test("RunnerTransport tells when a refused request may be tried again", async () => {
  const { client } = setup(() =>
    answer(429, toProblem("queue_full", "No room"), { "retry-after": "10" })
  );
  await assert.rejects(client.submit({}, "key", signal), {
    code: "queue_full",
    message: "No room; try again in 10 s",
  });
});

Deno.test("RunnerTransport takes too many connections for a runner that is away", async () => {
  const { client } = setup(() => answer(503, toProblem("too_many_connections", "Too many")));
  await assert.rejects(client.status(signal), ConnectionLostError);
});

Deno.test("RunnerTransport refuses what is no runner", async () => {
  for (const response of [answer(200, "<html>"), answer(404, "not here")]) {
    const { client } = setup(() => response);
    await assert.rejects(client.status(signal), /what listens there is no cicd-runner/);
  }
});

Deno.test("RunnerTransport tells a body that was cut off", async () => {
  const { client } = setup(() => ({
    ...answer(200, ""),
    body: streamOf([bytesOf("a")], "broken").body,
  }));
  using response = await client.followLog("1", { from: 0 }, signal);
  await assert.rejects(Array.fromAsync(response.body), ConnectionLostError);
});

Deno.test("RunnerTransport passes on the caller's own failure while reading", async () => {
  const { client } = setup(() => answer(200, "text"));
  using response = await client.followLog("1", { from: 0 }, signal);
  await assert.rejects(async () => {
    for await (const _ of response.body) throw new Error("mine");
  }, /mine/);
});

Deno.test("RunnerClient asks for what it is asked", async () => {
  const { client, sent } = setup(({ path }) =>
    path.startsWith("/v1/jobs?")
      ? answer(200, { jobs: [], next_cursor: null })
      : answer(200, jobAnswer())
  );
  await client.jobs({ project: "web", states: ["queued", "running"], limit: 5 }, signal);
  await client.submit({ project: "web" }, "k-1", signal);
  await client.waitOnce("../x", 1_500, signal);
  using _log = await client.followLog("1", { from: 7, timestamps: true, stream: "stdout" }, signal);
  assert.deepEqual(sent.map(({ method, path }) => `${method} ${path}`), [
    "GET /v1/jobs?project=web&state=queued%2Crunning&limit=5",
    "POST /v1/jobs",
    "GET /v1/jobs/..%2Fx/wait?timeout=2s",
    "GET /v1/jobs/1/logs?stream=stdout&timestamps=1&follow=1&offset=7",
  ]);
  assert.equal(sent[1]?.headers?.["idempotency-key"], "k-1");
  assert.equal(sent[1]?.body, '{"project":"web"}');
});

Deno.test("RunnerClient.openLogRest() gives nothing where the log has no more", async () => {
  const { client, sent } = setup(() => answer(416, toProblem("range_not_satisfiable", "No more")));
  assert.equal(await client.openLogRest("1", { from: 9 }, signal), undefined);
  assert.equal(sent[0]?.headers?.["range"], "bytes=9-");
});

Deno.test("RunnerClient.logSize() reads the size from the range", async () => {
  const { client } = setup(() => answer(206, "x", { "content-range": "bytes 41-41/42" }));
  assert.equal(await client.logSize("1", undefined, signal), 42);
});
