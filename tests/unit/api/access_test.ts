import assert from "node:assert/strict";
import { type Scope, SCOPES } from "@lib/core/caller.ts";
import { openApiDocument } from "@lib/api/openapi.ts";
import type { AnyRoute } from "@lib/api/route.ts";
import { parseProjectName } from "@lib/core/ids.ts";
import type { Origin } from "@lib/foundations/http/listener.ts";
import { type ApiFixture, openApi } from "../../support/api_fixture.ts";
import { makeOutcome, makeSpec } from "../../support/job_fixtures.ts";

const REMOTE: Origin = { kind: "remote", address: "192.0.2.1" };
/** Routes that ask for no key of the runner: public ones, and those of Gryt, which has its own. */
const OPEN = /^(GET \/|GET \/health|GET \/healthz|GET \/readyz|(GET|POST) \/jobs\/.*)$/;

function routesOf(): readonly AnyRoute[] {
  using t = openApi();
  return t.routes;
}

function nameOf({ method, path }: AnyRoute): string {
  return `${method} ${path}`;
}

/** A path of a route, with the id of a job and the name of a project. */
function pathOf({ path }: AnyRoute, { id = "0".repeat(16), project = "web" } = {}): string {
  return path.replace(":id", id).replace(":project", project).replace(/:path\{.*\}|:\w+|\*/, "x");
}

function keyOf(t: ApiFixture, scopes: readonly Scope[], projects?: readonly string[]): string {
  const parsed = projects?.flatMap((name) => parseProjectName(name) ?? []);
  return t.keys.create({
    name: "CI",
    scopes,
    ...(parsed === undefined ? {} : { projects: parsed }),
  }).text;
}

function asker(t: ApiFixture, key?: string) {
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  return (method: string, path: string, body?: unknown) => {
    // A stream that goes on is of no interest here: its header tells.
    const response = t.ask(method, path, {
      origin: REMOTE,
      headers,
      ...(body === undefined || method === "GET" ? {} : { body }),
    });
    return response.then(async (answer) => {
      const isStream = answer.headers.get("content-type") === "text/event-stream";
      if (isStream) await answer.body?.cancel();
      const text = isStream ? "" : await answer.text();
      return { status: answer.status, headers: answer.headers, text };
    });
  };
}

async function codeOf(answer: Promise<{ readonly text: string }>): Promise<string> {
  return JSON.parse((await answer).text).code;
}

for (const route of routesOf()) {
  const { method } = route;
  if (OPEN.test(nameOf(route))) continue;

  Deno.test(`${nameOf(route)} over a network rejects a missing or wrong key`, async () => {
    using t = openApi();
    const none = await asker(t)(method, pathOf(route), {});
    assert.equal(none.status, 401);
    assert.equal(none.headers.get("www-authenticate"), "Bearer");
    assert.equal(none.headers.get("content-type"), "application/problem+json");
    const revoked = t.keys.create({ name: "old", scopes: ["admin"] });
    t.keys.revoke(revoked.key.id);
    for (const key of ["wrong", keyOf(t, ["admin"]).slice(0, -1), revoked.text]) {
      assert.equal((await asker(t, key)(method, pathOf(route), {})).status, 401);
    }
  });

  Deno.test(`${nameOf(route)} over a network takes the scope it declares, and admin`, async () => {
    using t = openApi();
    for (const scope of SCOPES) {
      const answer = await asker(t, keyOf(t, [scope]))(method, pathOf(route), {});
      const allowed = scope === route.access.scope || scope === "admin";
      const isRefused = answer.status === 403 && /it allows /.test(answer.text);
      assert.equal(isRefused, !allowed, `${scope}: ${answer.status} ${answer.text}`);
      assert.notEqual(answer.status, 401);
    }
  });

  Deno.test(`${nameOf(route)} shows nothing of a project that the key is not for`, async () => {
    using t = openApi({ configuredProjects: () => [project("secret-project")] });
    const job = t.add({ spec: makeSpec({ project: project("secret-project") }) });
    t.claim(job.id);
    t.store.apply(job.id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
    t.logs.set(job.id, "secret-output");
    const before = t.store.require(job.id).revision;
    const ask = asker(t, keyOf(t, ["admin"], ["web"]));
    const wish = route.path === "/v1/jobs"
      ? { project: "secret-project", script: "true" }
      : { name: "x", scopes: ["admin"] };
    for (const id of [job.id, job.id.slice(0, 8)]) {
      const answer = await ask(method, pathOf(route, { id, project: "secret-project" }), wish);
      const { status, text } = answer;
      if (/:(id|project)/.test(route.path) && !route.path.startsWith("/v1/keys")) {
        assert.equal(status, 404, text);
      }
      assert(status === 404 || status === 403 || status === 200, `${status} ${text}`);
      // What was asked may be named again; what is there may not be shown.
      const shown = status === 200 ? text : JSON.stringify({ ...JSON.parse(text), detail: "" });
      assert.doesNotMatch(shown, /secret-project|secret-output/);
      if (status === 200) assert(!text.includes(job.id), text);
    }
    assert.equal(t.store.require(job.id).revision, before);
    assert.equal(t.keys.list().length, 1);
    assert.equal(t.store.intakeModes().size, 0);
  });
}

function project(name: string) {
  const parsed = parseProjectName(name);
  assert(parsed !== undefined);
  return parsed;
}

Deno.test("every route that asks for no key is one that is meant to be open", () => {
  const open = routesOf().filter(({ access }) => access.scope === "none").map(nameOf);
  assert.deepEqual(open.filter((name) => !OPEN.test(name)), []);
  assert(open.includes("GET /healthz"));
});

Deno.test("GET /readyz gives the reasons to this account and to no stranger", async () => {
  using t = openApi({ unreadyReasons: () => ["/state is full"] });
  const remote = await asker(t)("GET", "/readyz");
  assert.equal(remote.status, 503);
  assert.doesNotMatch(remote.text, /state/);
  assert.match(await (await t.ask("GET", "/readyz")).text(), /state/);
});

Deno.test("a key for some projects sees those, finds their jobs by a beginning, and submits", async () => {
  using t = openApi({
    configuredProjects: () => [project("web"), project("api")],
    agentProblems: () =>
      ["api", "web"].map((name) => ({
        project: project(name),
        reason: `no ${name}`,
        since: "2026-01-01T00:00:00.000Z",
      })),
  });
  const web = t.add({ spec: makeSpec({ project: project("web") }) });
  t.add({ spec: makeSpec({ project: project("api") }) });
  const ask = asker(t, keyOf(t, ["read", "submit"], ["web"]));
  const list = JSON.parse((await ask("GET", "/v1/jobs")).text);
  assert.deepEqual(list.jobs.map(({ id }: { id: string }) => id), [web.id]);
  assert.equal(JSON.parse((await ask("GET", "/v1/jobs?project=api")).text).jobs.length, 0);
  const { projects } = JSON.parse((await ask("GET", "/v1/projects")).text);
  assert.deepEqual(projects.map((one: { project: string }) => one.project), ["web"]);
  assert.equal(projects[0].agent_problem, "no web");
  const status = JSON.parse((await ask("GET", "/v1/status")).text);
  assert.equal(status.queued, 1);
  assert.deepEqual(status.agent_problems, [{
    project: "web",
    reason: "no web",
    since: "2026-01-01T00:00:00.000Z",
  }]);
  // The beginnings of both ids are alike: only one of them is there for this key.
  const found = await ask("GET", `/v1/jobs/${web.id.slice(0, 8)}`);
  assert.equal(JSON.parse(found.text).id, web.id);
  const submitted = await ask("POST", "/v1/jobs", { project: "web", script: "true" });
  assert.equal(submitted.status, 201);
});

Deno.test("POST /v1/jobs rejects another project before it reveals its rules", async () => {
  let asked = false;
  using t = openApi();
  using u = openApi({ defaultsOf: (name) => (asked = true, t.defaultsOf(name)) });
  const ask = asker(u, keyOf(u, ["submit"], ["web"]));
  assert.equal(
    await codeOf(ask("POST", "/v1/jobs", { project: "api", script: "true" })),
    "forbidden",
  );
  assert.equal(asked, false);
});

Deno.test("POST /v1/jobs keeps the idempotency keys of callers apart", async () => {
  using t = openApi();
  const headers = { "idempotency-key": "build-7" };
  const submit = async (key?: string) => {
    const response = await t.ask("POST", "/v1/jobs", {
      body: { project: "web", script: "true" },
      origin: key === undefined ? { kind: "local" } : REMOTE,
      headers: key === undefined ? headers : { ...headers, "x-api-key": key },
    });
    return { status: response.status, id: (await response.json()).id };
  };
  const [one, other] = [keyOf(t, ["submit"]), keyOf(t, ["submit"])];
  const first = await submit(one);
  assert.deepEqual(await submit(one), { status: 200, id: first.id });
  assert.equal((await submit(other)).status, 201);
  assert.equal((await submit()).status, 201);
});

Deno.test("POST /v1/jobs/:id/cancel records which key it was", async () => {
  using t = openApi();
  const { id } = t.add({ spec: makeSpec({ project: project("web") }) });
  await asker(t, keyOf(t, ["submit"]))("POST", `/v1/jobs/${id}/cancel`);
  assert.match(t.store.require(id).cancel?.by ?? t.store.require(id).message ?? "", /by key CI \(/);
});

Deno.test("GET /v1/events passes over other projects, and says how far it has come", async () => {
  using t = openApi();
  t.add({ spec: makeSpec({ project: project("api") }) });
  const { revision } = t.add({ spec: makeSpec({ project: project("web") }) });
  const key = keyOf(t, ["read"], ["web"]);
  const response = await t.ask("GET", "/v1/events?since=0", {
    origin: REMOTE,
    headers: { "x-api-key": key },
  });
  const reader = response.body?.getReader();
  let text = "";
  while (!text.includes(`id: ${revision}`)) {
    text += new TextDecoder().decode((await reader?.read())?.value);
  }
  await reader?.cancel();
  assert.match(text, /"project":"web"/);
  assert.doesNotMatch(text, /"project":"api"/);
});

Deno.test("a web page is refused over a network, also with a good key", async () => {
  using t = openApi();
  const response = await t.ask("GET", "/v1/jobs", {
    origin: REMOTE,
    headers: { "x-api-key": keyOf(t, ["admin"]), origin: "https://example.org" },
  });
  assert.equal((await response.json()).code, "cross_origin");
});

Deno.test("this account itself needs no key", async () => {
  using t = openApi();
  assert.equal((await t.ask("GET", "/v1/keys")).status, 200);
});

Deno.test("openApiDocument() documents the scope of every route", () => {
  using t = openApi();
  const document = JSON.parse(JSON.stringify(openApiDocument(t.routes, "1")));
  assert.deepEqual(document.paths["/v1/jobs"].post.security, [
    { bearer: ["submit"] },
    { apiKey: ["submit"] },
  ]);
  assert.deepEqual(document.paths["/healthz"].get.security, []);
  assert(document.paths["/v1/jobs"].get.responses["401"] !== undefined);
});
