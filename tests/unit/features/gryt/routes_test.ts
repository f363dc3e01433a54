import assert from "node:assert/strict";
import { AgentsFront } from "@lib/features/gryt/agents_front.ts";
import { EngineWatch } from "@lib/features/gryt/engine_watch.ts";
import { GrytLedger } from "@lib/features/gryt/ledger.ts";
import { OutboxStore } from "@lib/features/gryt/outbox_store.ts";
import type { OutgoingResult } from "@lib/features/gryt/outgoing.ts";
import { type GrytService, WaitingAnswers } from "@lib/features/gryt/service.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { JobId } from "@lib/core/ids.ts";
import type { GrytSettings } from "@lib/features/gryt/settings.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { grytLogSocket } from "@lib/features/gryt/routes.ts";
import {
  type ApiFixture,
  type AskOptions,
  grytPart,
  openApi,
} from "../../../support/api_fixture.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { makeOutcome } from "../../../support/job_fixtures.ts";
import { answered, fakeNetwork, makeSettings } from "./_fakes.ts";

const headers = { "x-api-key": "the-key" };
const body = { job_id: 123, pipeline_b64: "cHJpbnQoMSk=" };
const RESULTS = '{"status":"ok","results":{"r":{"s":{"status":"success","returncode":0}}}}\n';

interface Options {
  readonly settings?: Partial<GrytSettings>;
  readonly withoutKey?: true;
  readonly intake?: Partial<RunnerServices["intake"]>;
  readonly engineProblem?: string;
  readonly network?: (path: string) => OutgoingResult;
}

function setup(options: Options = {}) {
  const { settings = {}, withoutKey, intake = {}, engineProblem, network } = options;
  const clock = new FakeClock();
  const { send, sent } = fakeNetwork(({ url }) => network?.(url.pathname) ?? answered(500));
  const gryt: GrytService = {
    settings() {
      const { apiKey: _key, ...others } = makeSettings(settings);
      return withoutKey ? others : makeSettings(settings);
    },
    engine: new EngineWatch({ ping: () => Promise.resolve(engineProblem), clock }),
    get ledger() {
      return new GrytLedger(api.db);
    },
    get outbox() {
      return new OutboxStore(api.db);
    },
    front: new AgentsFront({ send, clock }),
    waiting: new WaitingAnswers(),
  };
  const api: ApiFixture = openApi({
    intake: { assertRoom() {}, assertOpen() {}, assertDisk() {}, ...intake },
    replaced: {
      gryt: (services) => ({
        ...grytPart(services, gryt),
        sockets: [grytLogSocket(services, gryt)],
      }),
    },
  });
  return {
    ...api,
    gryt,
    sent,
    execute: (changes: Record<string, unknown> = {}) =>
      api.ask("POST", "/jobs/execute", { headers, body: { ...body, ...changes } }),
    /** The jobs that are open, the newest first. */
    open: () => api.store.list({ limit: 10, states: ["queued", "starting", "running"] }).jobs,
    end(id: JobId, changes: Partial<AttemptOutcome> = {}) {
      const { attempt } = api.claim(id);
      api.store.apply(id, { kind: "ended", attempt, outcome: makeOutcome(changes) });
    },
  };
}

async function until<T>(read: () => T | undefined): Promise<T> {
  for (let turn = 0; turn < 1_000; turn++) {
    const value = read();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  return assert.fail("it did not happen");
}

Deno.test("GET / and GET /health answer as Gryt's agent", async () => {
  using t = setup();
  assert.deepEqual(await (await t.ask("GET", "/")).json(), {
    service: "Gryt CI Agent",
    version: "1.2.3",
    status: "running",
  });
  const health = await t.ask("GET", "/health");
  assert.equal(health.status, 200);
  assert.deepEqual(await health.json(), {
    status: "healthy",
    version: "1.2.3",
    docker_available: true,
  });
});

Deno.test("GET / names this product where Gryt is not configured", async () => {
  using t = setup({ withoutKey: true });
  assert.equal((await (await t.ask("GET", "/")).json()).service, "cicd-toolkit");
});

Deno.test("GET /health is degraded without an engine, if Gryt is configured", async () => {
  using t = setup({ engineProblem: "no socket" });
  const health = await t.ask("GET", "/health");
  assert.equal(health.status, 200);
  assert.deepEqual(await health.json(), {
    status: "degraded",
    version: "1.2.3",
    docker_available: false,
  });
  using bare = openApi();
  assert.equal((await (await bare.ask("GET", "/health")).json()).status, "healthy");
});

Deno.test("POST /jobs/execute answers with the result when the job has ended", async () => {
  using t = setup();
  const answer = t.execute({ job_id: "123", env_vars: { FOO: "bar" }, extra: 1 });
  const job = await until(() => t.open()[0]);
  assert.equal(job.spec.project, "gryt");
  assert.equal(job.spec.container?.image, "ghcr.io/epyklab/gryt/pipeline:latest");
  assert.deepEqual(job.spec.work, { kind: "command", argv: ["gryt", "run", "pipeline.py"] });
  assert.equal(job.spec.env["FOO"], "bar");
  t.logs.set(job.id, RESULTS);
  t.end(job.id, { exitCode: 0, startedAt: 1_000, finishedAt: 3_500 });
  const response = await answer;
  assert.equal(response.status, 200);
  const told = await response.json();
  assert.equal(told.job_id, 123);
  assert.equal(told.success, true);
  assert.equal(told.exit_code, 0);
  assert.equal(told.stdout, RESULTS);
  assert.equal(told.duration_seconds, 2.5);
  assert.equal(told.error, null);
});

Deno.test("POST /jobs/execute asks for the key as Gryt's agent does", async () => {
  using t = setup();
  const missing = await t.ask("POST", "/jobs/execute", { body });
  assert.equal(missing.status, 422);
  assert.deepEqual(await missing.json(), {
    detail: [{ type: "missing", loc: ["header", "x-api-key"], msg: "Field required", input: null }],
  });
  const wrong = await t.ask("POST", "/jobs/execute", { body, headers: { "x-api-key": "the-kez" } });
  assert.equal(wrong.status, 401);
  assert.deepEqual(await wrong.json(), { detail: "Invalid API key" });
  using bare = openApi();
  const unset = await bare.ask("POST", "/jobs/execute", { body, headers });
  assert.equal(unset.status, 500);
  assert.deepEqual(await unset.json(), { detail: "Agent not configured properly" });
  assert.deepEqual(t.open(), []);
});

Deno.test("a wrong key of Gryt's counts among the failures of its address, a right one passes", async () => {
  using t = setup();
  const stranger = { kind: "remote", address: "192.0.2.1" } as const;
  const guess = (path: string, options: AskOptions = {}) =>
    t.ask("GET", path, { headers: { "x-api-key": "guess" }, origin: stranger, ...options });
  for (let n = 0; n < 30; n++) {
    const isBare = n % 2 === 1;
    const { status } = await guess(`/jobs/${n}`, isBare ? { headers: {} } : {});
    assert.equal(status, isBare ? 422 : 401);
  }
  const late = await guess("/jobs/1");
  assert.equal(late.status, 429);
  assert.equal(late.headers.get("retry-after"), "2");
  assert.match((await late.json()).detail, /too many without a valid key came from "192\.0\.2\.1"/);
  const log = (key: string, origin: AskOptions["origin"] = stranger) => {
    const request = new Request("http://localhost/jobs/1/logs", { headers: { "x-api-key": key } });
    return t.router.upgrade(request, origin);
  };
  await assert.rejects(log("guess"), { code: "rate_limited" });
  await assert.rejects(log("the-key"), { code: "job_not_found" });
  assert.equal((await guess("/jobs/1", { headers })).status, 404);
  // This account itself is not counted.
  assert.equal((await guess("/jobs/1", { origin: { kind: "local" } })).status, 401);
  await assert.rejects(log("guess", { kind: "local" }), { code: "unauthorized" });
});

Deno.test("POST /jobs/execute reports what is wrong with a body", async () => {
  using t = setup();
  const response = await t.execute({ job_id: "x" });
  assert.equal(response.status, 422);
  assert.deepEqual((await response.json()).detail[0].loc, ["body", "job_id"]);
  const text = await t.ask("POST", "/jobs/execute", { body: "{hunter2", headers });
  assert.equal(text.status, 422);
  assert.equal((await text.json()).detail[0].type, "json_invalid");
});

Deno.test("POST /jobs/execute fails jobs that cannot begin with 200 and their message", async () => {
  using t = setup();
  const changes: Record<string, unknown>[] = [
    { pipeline_b64: "%%%" },
    { git_url: "https://example.org/r.git", github_token_encrypted: "hunter2-hunter2" },
    { cpu_limit: "much" },
    { env_vars: { "A=B": "hunter2-hunter2" } },
  ];
  for (const change of changes) {
    const response = await t.execute(change);
    assert.equal(response.status, 200);
    const told = await response.json();
    assert.equal(told.success, false);
    assert.equal(told.exit_code, -1);
    assert.equal(told.stdout, "");
    assert.equal(told.stderr, told.error);
    assert.doesNotMatch(JSON.stringify(told), /hunter2/);
  }
  assert.deepEqual(t.open(), []);
});

Deno.test("POST /jobs/execute reports a missing engine, and stores nothing", async () => {
  using t = setup({ engineProblem: "Cannot find a container engine" });
  const response = await t.execute();
  assert.equal(response.status, 500);
  assert.match((await response.json()).detail, /Cannot find a container engine/);
  assert.deepEqual(t.open(), []);
});

Deno.test("POST /jobs/execute says when to retry while there is no room", async () => {
  const refuse = (code: "queue_full" | "draining") => () => {
    throw new CicdError(code, "Cannot accept the job", { retryAfterMs: 10_000 });
  };
  using full = setup({ intake: { assertRoom: refuse("queue_full") } });
  using draining = setup({ intake: { assertOpen: refuse("draining") } });
  for (const [t, status] of [[full, 429], [draining, 503]] as const) {
    const response = await t.execute();
    assert.equal(response.status, status);
    assert.equal(response.headers.get("retry-after"), "10");
    assert.deepEqual(await response.json(), { detail: "Cannot accept the job" });
  }
});

Deno.test("POST /jobs/execute joins the open job of a number, and the ended one of the same body", async () => {
  using t = setup();
  const first = t.execute();
  const job = await until(() => t.open()[0]);
  const second = t.execute({ env_vars: { OTHER: "1" } });
  await until(() => t.services.events.size >= 2 ? true : undefined);
  assert.equal(t.open().length, 1);
  t.logs.set(job.id, RESULTS);
  t.end(job.id, { exitCode: 0 });
  assert.deepEqual(await (await first).json(), await (await second).json());
  assert.equal((await (await t.execute()).json()).success, true);
  assert.equal(t.store.list({ limit: 10 }).jobs.length, 1);
  void t.execute({ env_vars: { OTHER: "1" } });
  await until(() => t.open()[0]);
  assert.equal(t.store.list({ limit: 10 }).jobs.length, 2);
});

Deno.test("POST /jobs/execute goes on with a job whose client goes away", async () => {
  using t = setup();
  const client = new AbortController();
  const answer = t.ask("POST", "/jobs/execute", { headers, body, signal: client.signal });
  const job = await until(() => t.open()[0]);
  client.abort();
  assert.notEqual((await answer).status, 200);
  assert.equal(t.store.require(job.id).state, "queued");
  const again = t.execute();
  await until(() => t.services.events.size > 0 ? true : undefined);
  t.logs.set(job.id, RESULTS);
  t.end(job.id, { exitCode: 0 });
  assert.equal((await (await again).json()).success, true);
});

Deno.test("POST /jobs/execute lets other agents run jobs, and runs them here if none can", async () => {
  const health = answered(200, { status: "healthy" });
  using t = setup({
    settings: { agentUrls: ["http://a:8080"] },
    network: (path) => path === "/health" ? health : answered(200, { job_id: 123, success: true }),
  });
  assert.deepEqual(await (await t.execute()).json(), { job_id: 123, success: true });
  assert.deepEqual(t.open(), []);
  using alone = setup({
    settings: { agentUrls: ["http://a:8080"] },
    network: () => ({ kind: "unreachable", why: "refused" }),
  });
  void alone.execute();
  await until(() => alone.open()[0]);
  using passed = setup({ settings: { agentUrls: ["http://a:8080"] } });
  void passed.ask("POST", "/jobs/execute", {
    headers: { ...headers, "x-gryt-forwarded": "1" },
    body,
  });
  await until(() => passed.open()[0]);
  assert.equal(passed.sent.length, 0);
});

Deno.test("POST /jobs/execute stores what is owed with the job, if it may be called", async () => {
  using t = setup();
  void t.execute({ callback_url: "https://ci.example.org/hook" });
  const first = await until(() => t.open()[0]);
  t.end(first.id, { exitCode: 0 });
  assert.equal(t.gryt.outbox.pending(), 1);
  void t.execute({ job_id: 124, callback_url: "ftp://ci.example.org/hook" });
  const second = await until(() => t.open()[0]);
  t.end(second.id, { exitCode: 0 });
  assert.equal(t.gryt.outbox.pending(), 1);
});

Deno.test("GET /jobs/:job_id and POST /jobs/:job_id/cancel know a job by its number", async () => {
  using t = setup();
  const answer = t.execute({ priority: 9, timeout: 90 });
  const job = await until(() => t.open()[0]);
  assert.equal(job.spec.priority, 9);
  assert.equal(job.spec.timeoutMs, 90_000);
  const shown = await (await t.ask("GET", "/jobs/123", { headers })).json();
  assert.equal(shown.id, job.id);
  assert.equal(shown.state, "queued");
  assert.equal(shown.success, null);
  assert.equal((await t.ask("POST", "/jobs/123/cancel", { headers })).status, 200);
  const told = await (await answer).json();
  assert.equal(told.success, false);
  assert.equal(told.exit_code, -1);
  assert.equal((await (await t.ask("GET", "/jobs/123", { headers })).json()).success, false);
  assert.equal((await t.ask("POST", "/jobs/123/cancel", { headers })).status, 200);
  assert.equal((await t.ask("GET", "/jobs/123")).status, 422);
});

Deno.test("paths below /jobs have the errors that Gryt's clients know", async () => {
  using t = setup();
  const cases = [
    ["GET", "/jobs/999", 404, "Not Found"],
    ["GET", "/jobs/abc", 404, "Not Found"],
    ["GET", "/jobs/1/2/3", 404, "Not Found"],
    ["GET", "/jobs/execute", 405, "Method Not Allowed"],
    ["POST", "/jobs/1", 405, "Method Not Allowed"],
  ] as const;
  for (const [method, path, status, detail] of cases) {
    const response = await t.ask(method, path, { headers });
    assert.equal(response.status, status, `${method} ${path}`);
    assert.deepEqual(await response.json(), { detail });
  }
});

Deno.test("GET /jobs/{job_id} finds every number that a job may have", async () => {
  using t = setup();
  const answer = t.execute({ job_id: Number.MAX_SAFE_INTEGER });
  const job = await until(() => t.open()[0]);
  const ask = async (id: string) => (await t.ask("GET", `/jobs/${id}`, { headers })).status;
  assert.equal(await ask("9007199254740991"), 200);
  assert.equal(await ask("9007199254740992"), 404);
  t.end(job.id);
  await answer;
});

Deno.test("OPTIONS /jobs/execute names POST alone in Allow", async () => {
  using api = openApi();
  const answer = await api.ask("OPTIONS", "/jobs/execute");
  assert.equal(answer.status, 405);
  assert.equal(answer.headers.get("allow"), "POST");
});
