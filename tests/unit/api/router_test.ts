import assert from "node:assert/strict";
import { openApiDocument } from "@lib/api/openapi.ts";
import { ERROR_CODES } from "@lib/core/error_codes.ts";
import { CicdError } from "@lib/core/errors.ts";
import { newJobId } from "@lib/core/ids.ts";
import { openApi } from "../../support/api_fixture.ts";
import { makeOutcome } from "../../support/job_fixtures.ts";

interface Operation {
  readonly responses: Readonly<Record<string, { readonly content: object }>>;
}

const body = { project: "web", script: "true" };

async function problem(response: Response): Promise<{ code: string; detail: string }> {
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  return await response.json();
}

Deno.test("POST /v1/jobs stores the job before it answers 201 with its place", async () => {
  using t = openApi();
  const response = await t.ask("POST", "/v1/jobs", { body });
  const text = await response.text();
  assert.match(text, /}\n$/);
  const job = JSON.parse(text);
  assert.equal(response.status, 201);
  assert.equal(response.headers.get("location"), `/v1/jobs/${job.id}`);
  assert.equal(job.state, "queued");
  assert.equal(job.queue_position, 0);
  assert.equal(t.store.get(job.id)?.spec.project, "web");
});

Deno.test("POST /v1/jobs never shows a secret's value again", async () => {
  using t = openApi();
  const secrets = { TOKEN: "hunter2-hunter2" };
  const response = await t.ask("POST", "/v1/jobs", { body: { ...body, secrets } });
  const { id } = await response.clone().json();
  assert.doesNotMatch(await response.text(), /hunter2/);
  assert.doesNotMatch(await (await t.ask("GET", `/v1/jobs/${id}`)).text(), /hunter2/);
  assert.doesNotMatch(JSON.stringify(t.log.messages), /hunter2/);
});

Deno.test("POST /v1/jobs answers a known Idempotency-Key also when nothing new is taken", async () => {
  const refuse = () => {
    throw new CicdError("queue_full", "Full");
  };
  let full = false;
  using t = openApi({
    intake: {
      assertOpen() {},
      assertRoom: () => full && refuse(),
      assertDisk: () => full && refuse(),
    },
  });
  const headers = { "idempotency-key": "build-7" };
  const first = await (await t.ask("POST", "/v1/jobs", { body, headers })).json();
  full = true;
  const again = await t.ask("POST", "/v1/jobs", { body, headers });
  assert.equal(again.status, 200);
  assert.equal((await again.json()).id, first.id);
  assert.equal((await t.ask("POST", "/v1/jobs", { body })).status, 429);
});

Deno.test("POST /v1/jobs compares what an Idempotency-Key asked for, not how it was laid out", async () => {
  using t = openApi();
  const headers = { "idempotency-key": "build-7" };
  const ask = (text: string) => t.ask("POST", "/v1/jobs", { body: text, headers });
  assert.equal((await ask('{"project":"web","script":"true"}')).status, 201);
  assert.equal((await ask('{ "script": "true", "project": "web" }')).status, 200);
  assert.equal(
    (await problem(await ask('{"project":"web","script":"false"}'))).code,
    "idempotency_key_reused",
  );
});

Deno.test("POST /v1/jobs?follow=1 with a known Idempotency-Key follows the job of then", async () => {
  using t = openApi();
  const headers = { "idempotency-key": "build-7" };
  const { id } = await (await t.ask("POST", "/v1/jobs", { body, headers })).json();
  t.claim(id);
  t.store.apply(id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
  t.logs.set(id, "hello");
  const response = await t.ask("POST", "/v1/jobs?follow=1", { body, headers });
  assert.equal(response.headers.get("x-job-id"), id);
  assert.equal(
    await response.text(),
    `hello\ncicd-result state=succeeded exit_code=0 reason=exit_code job=${id}\n`,
  );
});

Deno.test("GET /v1/jobs pages by cursor", async () => {
  using t = openApi();
  const ids = Array.from({ length: 3 }, () => t.add().id);
  const first = await (await t.ask("GET", "/v1/jobs?limit=2")).json();
  assert.deepEqual(first.jobs.map(({ id }: { id: string }) => id), [ids[2], ids[1]]);
  const second = await (await t.ask("GET", `/v1/jobs?limit=2&cursor=${first.next_cursor}`)).json();
  assert.deepEqual(second.jobs.map(({ id }: { id: string }) => id), [ids[0]]);
  assert.equal(second.next_cursor, null);
});

Deno.test("GET /v1/jobs?label= selects the jobs with all labels", async () => {
  using t = openApi();
  const submit = async (labels: Readonly<Record<string, string>>) => {
    const asked = await t.ask("POST", "/v1/jobs", { body: { ...body, labels } });
    return (await asked.json()).id;
  };
  const first = await submit({ run: "7", os: "linux=old" });
  const second = await submit({ run: "7" });
  const found = async (query: string) => {
    const { jobs } = await (await t.ask("GET", `/v1/jobs?${query}`)).json();
    return jobs.map(({ id }: { id: string }) => id);
  };
  assert.deepEqual(await found("label=run=7"), [second, first]);
  assert.deepEqual(await found("label=run%3D7&label=os%3Dlinux%3Dold"), [first]);
  assert.deepEqual(await found("label=run=8"), []);
  assert.match(
    (await problem(await t.ask("GET", "/v1/jobs?label=run"))).detail,
    /query.label must be NAME=VALUE/,
  );
});

Deno.test("GET /v1/jobs/:id takes the beginning of an id, and says if that is not enough", async () => {
  using t = openApi();
  const { id } = t.add();
  assert.equal((await (await t.ask("GET", `/v1/jobs/${id.slice(0, 20)}`)).json()).id, id);
  t.add();
  assert.match((await problem(await t.ask("GET", `/v1/jobs/${id.slice(0, 6)}`))).detail, /several/);
  assert.match(
    (await problem(await t.ask("GET", `/v1/jobs/ffffff`))).detail,
    /no id begins with that/,
  );
  for (const text of ["last", id.slice(0, 3)]) {
    assert.match((await problem(await t.ask("GET", `/v1/jobs/${text}`))).detail, /4 characters/);
  }
});

Deno.test("GET /v1/jobs/:id/wait answers 200 at the end and 202 when the time has passed", async () => {
  using t = openApi();
  const { id } = t.add();
  assert.equal((await t.ask("GET", `/v1/jobs/${id}/wait?timeout=0`)).status, 202);
  const waiting = t.ask("GET", `/v1/jobs/${id}/wait?timeout=1h`);
  await t.ask("POST", `/v1/jobs/${id}/cancel`);
  const response = await waiting;
  assert.equal(response.status, 200);
  assert.equal((await response.json()).state, "cancelled");
});

Deno.test("GET /v1/jobs/:id/wait logs no defect when the client goes away", async () => {
  using t = openApi();
  const { id } = t.add();
  const gone = new AbortController();
  const waiting = t.ask("GET", `/v1/jobs/${id}/wait`, { signal: gone.signal });
  gone.abort("Client connection prematurely closed.");
  await waiting;
  assert.deepEqual(t.log.of("error"), []);
});

Deno.test("POST /v1/jobs/:id/cancel is idempotent and refuses what has ended", async () => {
  using t = openApi();
  const { id } = t.add();
  for (let count = 0; count < 2; count++) {
    assert.equal((await t.ask("POST", `/v1/jobs/${id}/cancel`)).status, 200);
  }
  const ended = t.claim(t.add().id);
  t.store.apply(ended.id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
  assert.equal((await t.ask("POST", `/v1/jobs/${ended.id}/cancel`)).status, 409);
  assert.equal((await t.ask("POST", `/v1/jobs/${ended.id}/retry`)).status, 202);
});

Deno.test("GET logs honors Range and offset, and reports what cannot be satisfied", async () => {
  using t = openApi();
  const { id } = t.add();
  t.logs.set(id, "0123456789");
  const get = (query: string, range?: string) =>
    t.ask("GET", `/v1/jobs/${id}/logs${query}`, range === undefined ? {} : { headers: { range } });
  const part = await get("", "bytes=2-4");
  assert.equal(part.status, 206);
  assert.equal(part.headers.get("content-range"), "bytes 2-4/10");
  assert.equal(await part.text(), "234");
  assert.equal(await (await get("?offset=7")).text(), "789");
  const beyond = await get("", "bytes=10-");
  assert.equal(beyond.status, 416);
  assert.equal(beyond.headers.get("content-range"), "bytes */10");
});

Deno.test("HEAD gives the header of GET without a body", async () => {
  using t = openApi();
  const { id } = t.add();
  const response = await t.ask("HEAD", `/v1/jobs/${id}/logs?follow=1`);
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "");
});

Deno.test("an unknown route is 404, an unknown method 405 with those it takes", async () => {
  using t = openApi();
  assert.equal((await problem(await t.ask("GET", "/nope"))).code, "not_found");
  const response = await t.ask("DELETE", "/v1/jobs");
  assert.equal(response.headers.get("allow"), "GET, POST, HEAD");
  assert.equal((await problem(response)).code, "method_not_allowed");
  assert.equal((await t.ask("POST", "/openapi.json")).status, 405);
});

for (const path of ["/v1/jobs/", "//v1/jobs", "/v1/jobs//logs", "/v1/projects/", "/healthz/"]) {
  Deno.test(`${path} is 404, as no route has an empty part`, async () => {
    using t = openApi();
    assert.equal((await problem(await t.ask("GET", path))).code, "not_found");
  });
}

Deno.test("the OpenAPI document has a 422 for every route, as each refuses an unknown parameter", async () => {
  using t = openApi();
  const { paths } = await (await t.ask("GET", "/openapi.json")).json();
  for (const [path, operations] of Object.entries<Readonly<Record<string, Operation>>>(paths)) {
    for (const [method, { responses }] of Object.entries(operations)) {
      const kinds = Object.keys(responses["422"]?.content ?? {});
      assert(kinds.includes("application/problem+json"), `${method} ${path}`);
    }
  }
  const url = "/healthz?unknown=1";
  assert.equal((await t.ask("GET", url)).status, 422);
  assert(paths["/jobs/{job_id}"].get.responses["404"].content["application/json"]);
  assert(paths["/jobs/{job_id}/cancel"].post.responses["404"]);
  assert.match(
    paths["/jobs/execute"].post.responses["422"].description,
    /key is missing.*invalid_request/,
  );
});

Deno.test("a request of a web page is refused", async () => {
  using t = openApi();
  const headers = { origin: "https://evil.example" };
  const response = await t.ask("POST", "/v1/jobs", { body, headers });
  assert.equal((await problem(response)).code, "cross_origin");
  assert.equal(t.store.queuedCount(), 0);
});

for (
  const [path, message] of [
    ["/v1/jobs?limit=0", /limit is 0; give a whole number from 1/],
    ["/v1/jobs?limit=x", /limit is "x"; give a whole number/],
    ["/v1/jobs?stat=queued", /did you mean "state"/],
    ["/v1/jobs?state=done", /query.state must be one or more of queued/],
    ["/v1/jobs?cursor=x", /cursor is not a cursor/],
    ["/v1/jobs?project=a/b", /project contains a character other than letters/],
    [`/v1/jobs/${newJobId()}/wait?timeout=-5`, /timeout is "-5"; a duration cannot be negative/],
  ] as const
) {
  Deno.test(`GET ${path.replace(/[0-9a-f-]{36}/, ":id")} is refused with the parameter's name`, async () => {
    using t = openApi();
    const response = await t.ask("GET", path);
    assert.equal(response.status, 422);
    assert.match((await problem(response)).detail, message);
  });
}

Deno.test("a defect reveals no internals to the client, and everything to the log", async () => {
  using t = openApi({
    unreadyReasons() {
      throw new Error("password is hunter2");
    },
  });
  const response = await t.ask("GET", "/readyz");
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /hunter2/);
  assert.equal(t.log.of("error").length, 1);
});

Deno.test("GET /v1/events reports changes in order, and resumes without losing or repeating one", async () => {
  using t = openApi();
  const stop = new AbortController();
  const jobs = Array.from({ length: 200 }, () => t.add());
  const seen = async (since: number, count: number) => {
    const response = await t.ask("GET", `/v1/events?since=${since}`, { signal: stop.signal });
    const reader = (response.body ?? assert.fail()).getReader();
    let text = "";
    while ((text.match(/^id: /gm)?.length ?? 0) < count) {
      text += new TextDecoder().decode((await reader.read()).value);
    }
    await reader.cancel();
    return [...text.matchAll(/^id: (\d+)\ndata: (.*)$/gm)].map((match) => ({
      revision: Number(match[1]),
      id: JSON.parse(match[2] ?? "").id,
    }));
  };
  const all = await seen(0, 200);
  assert.deepEqual(all.map(({ id }) => id), jobs.map(({ id }) => id));
  const resumed = await seen(all[99]?.revision ?? 0, 100);
  assert.deepEqual(resumed, all.slice(100));
  assert.equal(t.services.events.size, 0);
});

Deno.test("openApiDocument() has every route, valid JSON, and the status of every error", () => {
  using t = openApi();
  const { routes } = t;
  const document = JSON.parse(JSON.stringify(openApiDocument(routes, "1.2.3")));
  assert.equal(document.openapi, "3.1.0");
  assert.equal(document.info.version, "1.2.3");
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)(?:\{[^}]*\})?/g, "{$1}");
    const operation = document.paths[path]?.[route.method.toLowerCase()];
    assert(operation !== undefined, `${route.method} ${route.path} is missing`);
    assert.equal(typeof operation.summary, "string");
    for (const status of Object.keys(route.answers)) assert(status in operation.responses);
    for (const code of route.errors ?? []) {
      const answer = operation.responses[String(ERROR_CODES[code].status)];
      assert(answer.description.includes(code), `${route.path} does not tell ${code}`);
    }
    for (const response of Object.values<{ description: unknown }>(operation.responses)) {
      assert.equal(typeof response.description, "string");
    }
    const named = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const parameters: { in: string; name: string; required?: boolean }[] = operation.parameters;
    assert.deepEqual(
      parameters.filter((one) => one.in === "path" && one.required).map(({ name }) => name),
      named,
    );
  }
});
