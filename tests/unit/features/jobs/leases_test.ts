import assert from "node:assert/strict";
import { Config } from "@lib/foundations/config/config.ts";
import { byDefault } from "@lib/foundations/config/key.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { CicdError } from "@lib/core/errors.ts";
import { ClientLeases } from "@lib/features/jobs/leases.ts";
import type { JobLogs } from "@lib/api/feature.ts";
import { type ApiChanges, type ApiFixture, openApi } from "../../../support/api_fixture.ts";
import { makeJob, makeOutcome } from "../../../support/job_fixtures.ts";

const body = { project: "web", script: "true" };
const patience = new Map([["queue.disconnect_patience", byDefault("10s")]]);
const catalog = { keys: new Map(), projectKeys: new Map(), together: [] };
const config = () => new Config({ catalog, settings: patience, projects: new Set() });

/** Logs that never end. */
const endless: JobLogs = {
  size: () => Promise.resolve(0),
  read: (_job, { from, signal }) => ({
    offset: from + 4,
    async *[Symbol.asyncIterator]() {
      yield new TextEncoder().encode("one\n");
      await new Promise((_, reject) => {
        if (signal.aborted) reject(signal.reason);
        signal.addEventListener("abort", () => reject(signal.reason));
      });
    },
  }),
};

function setup(changes: ApiChanges = {}) {
  const stop = new AbortController();
  const tasks = new TaskGroup({
    onFailure(_task, error) {
      throw error;
    },
  });
  const api = openApi({ config, tasks, logs: endless, stopping: stop.signal, ...changes });
  return {
    ...api,
    stop: () => stop.abort(new CicdError("runner_stopping", "Cannot go on: the runner stops")),
    async [Symbol.asyncDispose]() {
      await tasks[Symbol.asyncDispose]();
      api[Symbol.dispose]();
    },
  };
}

async function submitted(t: ApiFixture, query = ""): Promise<string> {
  return (await (await t.ask("POST", `/v1/jobs${query}`, { body })).json()).id;
}

function stateOf(t: ApiFixture, id: string): string {
  return t.store.list({ limit: 10 }).jobs.find((job) => job.id === id)?.state ?? "";
}

/** Follows, and returns what ends the following once its first line is read. */
async function follow(t: ApiFixture, method: string, path: string) {
  const response = await t.ask(method, path, method === "POST" ? { body } : {});
  assert(response.ok, await (response.ok ? "" : response.text()));
  const reader = response.body?.getReader();
  assert(reader !== undefined);
  await reader.read();
  return { id: response.headers.get("x-job-id") ?? "", leave: () => reader.cancel() };
}

Deno.test("on_disconnect=cancel cancels a job once its client has gone for the patience", async () => {
  await using t = setup();
  const { id, leave } = await follow(t, "POST", "/v1/jobs?follow=1&on_disconnect=cancel");
  await t.clock.tick(60_000);
  assert.equal(stateOf(t, id), "queued");
  await leave();
  await t.clock.tick(9_999);
  assert.equal(stateOf(t, id), "queued");
  await t.clock.tick(1);
  const { state, message } = await (await t.ask("GET", `/v1/jobs/${id}`)).json();
  assert.equal(state, "cancelled");
  assert.match(message, /client has been gone for 10s \(on_disconnect=cancel, by request\)/);
});

Deno.test("a job that was cancelled with the commit that stored it leaves no lease behind", async () => {
  const cancel = { reason: "cancelled", by: "by request" } as const;
  await using t = setup({
    async submitSoon(_body, { also }) {
      const job = makeJob();
      const submitted = await t.store.insertSoon({
        job,
        also: () => also?.(job.id),
      });
      t.store.apply(submitted.job.id, { kind: "cancel_requested", cancel, at: 1 });
      return submitted;
    },
  });
  const id = await submitted(t, "?on_disconnect=cancel");
  assert.equal(stateOf(t, id), "cancelled");
  assert.equal((await t.ask("POST", `/v1/jobs/${id}/retry`)).status, 202);
  await t.clock.tick(60_000);
  assert.equal(stateOf(t, id), "queued");
});

Deno.test("a job without on_disconnect=cancel outlives its client", async () => {
  await using t = setup();
  const { id, leave } = await follow(t, "POST", "/v1/jobs?follow=1");
  await leave();
  await t.clock.tick(3_600_000);
  assert.equal(stateOf(t, id), "queued");
});

Deno.test("a client that comes back in time, or another one, keeps the job", async () => {
  await using t = setup();
  const first = await follow(t, "POST", "/v1/jobs?follow=1&on_disconnect=cancel");
  await first.leave();
  await t.clock.tick(9_000);
  const path = `/v1/jobs/${first.id}/logs?follow=1&on_disconnect=cancel`;
  const second = await follow(t, "GET", path);
  const third = await follow(t, "GET", path);
  await t.clock.tick(60_000);
  await second.leave();
  await t.clock.tick(60_000);
  assert.equal(stateOf(t, first.id), "queued");
  await third.leave();
  await t.clock.tick(10_000);
  assert.equal(stateOf(t, first.id), "cancelled");
});

Deno.test("a wait with on_disconnect=cancel holds a job like a followed log", async () => {
  await using t = setup();
  const id = await submitted(t, "?on_disconnect=cancel");
  const gone = new AbortController();
  const path = `/v1/jobs/${id}/wait?timeout=1h&on_disconnect=cancel`;
  const waiting = t.ask("GET", path, { signal: gone.signal });
  await t.clock.tick(60_000);
  assert.equal(stateOf(t, id), "queued");
  gone.abort();
  await waiting;
  await t.clock.tick(10_000);
  assert.equal(stateOf(t, id), "cancelled");
});

Deno.test("a submission whose client never follows is cancelled after the patience", async () => {
  await using t = setup();
  const id = await submitted(t, "?on_disconnect=cancel");
  await t.clock.tick(10_000);
  assert.equal(stateOf(t, id), "cancelled");
});

Deno.test("a runner that stops cancels nothing, and the next one waits for the patience anew", async () => {
  await using t = setup();
  const { id } = await follow(t, "POST", "/v1/jobs?follow=1&on_disconnect=cancel");
  const plain = await submitted(t);
  t.stop();
  await t.clock.tick(3_600_000);
  assert.equal(stateOf(t, id), "queued");
  const next = { ...t.services, stopping: new AbortController().signal };
  using leases = new ClientLeases(next);
  leases.start();
  await t.clock.tick(9_999);
  assert.equal(stateOf(t, id), "queued");
  await t.clock.tick(1);
  assert.equal(stateOf(t, id), "cancelled");
  assert.equal(stateOf(t, plain), "queued");
});

Deno.test("a client that is quicker than the start of the runner keeps its job; HEAD asks for nothing", async () => {
  await using t = setup();
  const id = await submitted(t, "?on_disconnect=cancel");
  using leases = new ClientLeases(t.services);
  const job = t.store.list({ limit: 1 }).jobs[0];
  assert(job !== undefined);
  leases.take(job, { kind: "local" });
  using _held = leases.hold(job.id);
  using _also = leases.hold(job.id);
  leases.start();
  const first = await follow(t, "GET", `/v1/jobs/${id}/logs?follow=1&on_disconnect=cancel`);
  const other = await submitted(t);
  await t.ask("HEAD", `/v1/jobs/${other}/logs?follow=1&on_disconnect=cancel`);
  await t.clock.tick(60_000);
  assert.equal(stateOf(t, id), "queued");
  assert.equal(stateOf(t, other), "queued");
  await first.leave();
});

Deno.test("a lease ends with the job's attempts; only a retry that asks for it has another", async () => {
  await using t = setup();
  const id = await submitted(t, "?on_disconnect=cancel");
  const end = () => {
    const [job] = t.store.list({ limit: 1 }).jobs;
    assert(job !== undefined);
    const { attempt } = t.claim(job.id);
    t.store.apply(job.id, { kind: "ended", attempt, outcome: makeOutcome() });
  };
  end();
  await t.ask("POST", `/v1/jobs/${id}/retry`);
  using leases = new ClientLeases(t.services);
  leases.start();
  await t.clock.tick(3_600_000);
  assert.equal(stateOf(t, id), "queued");
  end();
  await t.ask("POST", `/v1/jobs/${id}/retry?on_disconnect=cancel`);
  await t.clock.tick(10_000);
  assert.equal(stateOf(t, id), "cancelled");
});

Deno.test("on_disconnect=cancel of a log or a wait requires submit, and of a log follow=1", async () => {
  await using t = setup();
  const { id } = t.add();
  const { text } = t.keys.create({ name: "reader", scopes: ["read"] });
  const origin = { kind: "remote", address: "192.0.2.1" } as const;
  const headers = { authorization: `Bearer ${text}` };
  for (const path of ["logs?follow=1&", "wait?"]) {
    const asked = `/v1/jobs/${id}/${path}on_disconnect=cancel`;
    assert.equal((await t.ask("GET", asked, { origin, headers })).status, 403);
  }
  assert.equal((await t.ask("GET", `/v1/jobs/${id}/logs?on_disconnect=cancel`)).status, 422);
  await t.clock.tick(3_600_000);
  assert.equal(stateOf(t, id), "queued");
});

Deno.test("a followed log that the runner must end says so, and how to resume it", async () => {
  await using t = setup();
  const { id } = t.add();
  const query = "follow=1&timestamps=1&on_disconnect=cancel";
  const text = await t.ask("GET", `/v1/jobs/${id}/logs?${query}`);
  const events = await t.ask("GET", `/v1/jobs/${id}/logs?follow=1`, {
    headers: { accept: "text/event-stream" },
  });
  const posted = await t.ask("POST", "/v1/jobs?follow=1", { body });
  const changes = await t.ask("GET", "/v1/events?since=0");
  const counted = await t.ask("GET", `/v1/jobs/${id}/logs?follow=1`, {
    headers: { accept: "text/plain" },
  });
  const waiting = t.ask("GET", `/v1/jobs/${id}/wait?timeout=1h`);
  t.stop();
  assert.equal(
    await text.text(),
    `one\ncicd-interrupted reason=runner_stopping job=${id} offset=4 ` +
      `resume="GET /v1/jobs/${id}/logs?follow=1&offset=4&timestamps=1&on_disconnect=cancel"\n`,
  );
  const facts = {
    reason: "runner_stopping",
    job: id,
    offset: 4,
    resume: `GET /v1/jobs/${id}/logs?follow=1&offset=4`,
  };
  assert.equal(
    (await events.text()).split("\n\n").at(-2),
    `event: interrupted\nid: 4\ndata: ${JSON.stringify(facts)}`,
  );
  assert.match(await posted.text(), /^one\ncicd-interrupted .*\/logs\?follow=1&offset=4"\n$/);
  assert.match(
    await changes.text(),
    /\nevent: interrupted\nid: \d+\ndata: {"reason":"runner_stopping","resume":"GET \/v1\/events\?since=\d+"}\n\n$/,
  );
  await assert.rejects(counted.text(), { code: "runner_stopping" });
  assert.equal((await waiting).status, 202);
  assert.deepEqual(t.log.of("error"), []);
});
