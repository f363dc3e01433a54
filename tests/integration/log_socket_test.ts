import assert from "node:assert/strict";
import { connect } from "node:net";
// @ts-types="../../lib/foundations/http/ws.d.ts"
import { type RawData, WebSocket } from "ws";
import type { JobLogs } from "@lib/api/feature.ts";
import { type JobId, parseProjectName } from "@lib/core/ids.ts";
import { GrytLedger } from "@lib/features/gryt/ledger.ts";
import { grytLogSocket } from "@lib/features/gryt/routes.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";
import type { HttpServer, HttpServerOptions } from "@lib/foundations/http/server.ts";
import { startHttpServer } from "@lib/foundations/http/server.ts";
import { HIGH_WATER_BYTES } from "@lib/foundations/http/web_socket.ts";
import {
  type ApiChanges,
  type ApiFixture,
  openApi,
  unconfiguredGryt,
} from "../support/api_fixture.ts";
import { makeSettings } from "../unit/features/gryt/_fakes.ts";
import { makeOutcome } from "../support/job_fixtures.ts";
import { pause } from "../support/runner_process.ts";

interface Bench extends AsyncDisposable {
  readonly api: ApiFixture;
  readonly server: HttpServer;
  readonly port: number;
  readonly key: string;
  readonly errors: unknown[];
}

async function serve(
  changes: ApiChanges = {},
  limits: Partial<HttpServerOptions["limits"]> = {},
): Promise<Bench> {
  const api = openApi(changes);
  const errors: unknown[] = [];
  const server = await startHttpServer({
    listeners: [{ kind: "tcp", host: "127.0.0.1", port: 0 }],
    limits: { maxConnections: 4, maxHeaderBytes: 8_192, headerTimeoutMs: 60_000, ...limits },
    handle: api.router.handle,
    upgrade: api.router.upgrade,
    isForRemote: true,
    keepFromChildren() {},
    onError: (_, error) => errors.push(error),
  });
  return {
    api,
    server,
    errors,
    port: server.addresses[0]?.port ?? 0,
    key: api.keys.create({ name: "CI", scopes: ["read"] }).text,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      api[Symbol.dispose]();
    },
  };
}

function endedJob(api: ApiFixture, log: string): JobId {
  const { id } = api.add();
  api.claim(id);
  api.store.apply(id, { kind: "ended", attempt: 1, outcome: makeOutcome() });
  api.logs.set(id, log);
  return id;
}

/** A log that goes on as `chunks` does. */
function endless(chunks: (signal: AbortSignal) => AsyncGenerator<Uint8Array>): JobLogs {
  return {
    size: () => Promise.resolve(0),
    read: (_, { signal }) => ({ offset: 0, [Symbol.asyncIterator]: () => chunks(signal) }),
  };
}

/** A log to which nothing is written. */
function silent(): JobLogs {
  return endless(async function* (signal) {
    yield await new Promise<Uint8Array>((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  });
}

interface Conversation {
  readonly binary: string;
  readonly texts: readonly string[];
  readonly code: number;
  readonly status?: number;
}

function converse(
  { port, key }: Pick<Bench, "port" | "key">,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Conversation> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
      headers: key === "" ? headers : { authorization: `Bearer ${key}`, ...headers },
    });
    const decoder = new TextDecoder();
    let binary = "";
    const texts: string[] = [];
    socket.on("message", (data: RawData, isBinary: boolean) => {
      if (!(data instanceof Uint8Array)) throw new TypeError("Not the default type");
      const text = decoder.decode(data);
      if (isBinary) binary += text;
      else texts.push(text);
    });
    socket.on("unexpected-response", (_, response) => {
      let text = "";
      response.on("data", (chunk) => text += chunk);
      response.on("end", () => {
        resolve({ binary: "", texts: [text], code: 0, status: response.statusCode ?? 0 });
      });
    });
    socket.on("error", reject);
    socket.on("close", (code) => resolve({ binary, texts, code }));
  });
}

Deno.test("a log over a WebSocket comes in binary frames, then how the job ended, then 1000", async () => {
  await using t = await serve();
  const id = endedJob(t.api, "hello\n");
  assert.deepEqual(await converse(t, `/v1/jobs/${id}/logs`), {
    binary: "hello\n",
    texts: ['{"state":"succeeded","exit_code":0,"reason":"exit_code"}'],
    code: 1000,
  });
  assert.equal((await converse(t, `/v1/jobs/${id}/logs?offset=2`)).binary, "llo\n");
  while (t.server.connections > 0) await pause(5);
  assert.deepEqual(t.errors, []);
});

for (
  const [name, ask, status, code] of [
    ["no key", { path: "/v1/jobs/ID/logs", key: "" }, 401, "unauthorized"],
    ["a wrong key", { path: "/v1/jobs/ID/logs", key: "wrong" }, 401, "unauthorized"],
    ["a key that may not read", { path: "/v1/jobs/ID/logs", key: "submit" }, 403, "forbidden"],
    ["a key for another project", { path: "/v1/jobs/ID/logs", key: "api" }, 404, "job_not_found"],
    [
      "a web page",
      { path: "/v1/jobs/ID/logs", origin: "https://example.org" },
      403,
      "cross_origin",
    ],
    ["a job that is not", { path: "/v1/jobs/000000/logs" }, 404, "job_not_found"],
    ["another path", { path: "/v1/events" }, 404, "not_found"],
    ["a wrong query", { path: "/v1/jobs/ID/logs?ofset=1" }, 422, "invalid_request"],
    [
      "an offset beyond the end",
      { path: "/v1/jobs/ID/logs?offset=9" },
      416,
      "range_not_satisfiable",
    ],
    ["a job of Gryt where there is none", { path: "/jobs/7/logs" }, 404, "not_found"],
  ] as const
) {
  Deno.test(`a WebSocket with ${name} is refused as HTTP is`, async () => {
    await using t = await serve();
    const id = endedJob(t.api, "hello\n");
    const project = parseProjectName("api");
    assert(project !== undefined);
    const keys: Readonly<Record<string, string>> = {
      submit: t.api.keys.create({ name: "CI", scopes: ["submit"] }).text,
      api: t.api.keys.create({ name: "CI", scopes: ["read"], projects: [project] }).text,
    };
    const named = "key" in ask ? ask.key : t.key;
    const answer = await converse(
      { port: t.port, key: keys[named] ?? named },
      ask.path.replace("ID", id),
      "origin" in ask ? { origin: ask.origin } : {},
    );
    assert.equal(answer.status, status);
    const problem = JSON.parse(answer.texts[0] ?? "");
    assert.equal(problem.code, code);
    assert(!JSON.stringify(problem).includes("hello"));
    while (t.server.connections > 0) await pause(5);
  });
}

Deno.test("a job of Gryt's is found by Gryt's id, by who has Gryt's key", async () => {
  await using t = await serve({
    replaced: {
      gryt: (services) => ({
        sockets: [grytLogSocket(services, {
          ...unconfiguredGryt(services),
          settings: () => makeSettings({ apiKey: new Secret("gryt") }),
        })],
      }),
    },
  });
  const id = endedJob(t.api, "from gryt\n");
  new GrytLedger(t.api.db).record({ jobId: id, grytId: 7 });
  const ask = (key: string, path: string) =>
    converse({ port: t.port, key: "" }, path, { "x-api-key": key });
  assert.equal((await ask("gryt", "/jobs/7/logs")).binary, "from gryt\n");
  assert.equal((await ask("gryt", "/jobs/8/logs")).status, 404);
  assert.equal((await ask("else", "/jobs/7/logs")).status, 401);
});

Deno.test("who does not read makes the log wait, and is let go after a while", async () => {
  let produced = 0;
  const chunk = new Uint8Array(64 * 1024);
  await using t = await serve({
    logs: endless(async function* (signal) {
      while (!signal.aborted) {
        produced += chunk.length;
        yield await Promise.resolve(chunk);
      }
    }),
  }, { pingIntervalMs: 300 });
  const { id } = t.api.add();
  const socket = connect(t.port, "127.0.0.1");
  socket.write(
    `GET /v1/jobs/${id}/logs HTTP/1.1\r\nHost: x\r\nX-API-Key: ${t.key}\r\nConnection: Upgrade\r\n` +
      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
      "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  socket.pause();
  socket.on("error", () => socket.destroy());
  while (produced === 0) await pause(5);
  while (t.server.connections > 0) await pause(20);
  // What the kernel holds for a connection, and what one client may have on its way.
  assert(produced < 16 * 1024 * 1024 + HIGH_WATER_BYTES, `${produced}`);
  socket.destroy();
  assert.deepEqual(t.errors, []);
});

Deno.test("a client that answers pings stays while a job says nothing, one that does not is let go", async () => {
  await using t = await serve({
    logs: silent(),
  }, { pingIntervalMs: 50 });
  const { id } = t.api.add();
  const open = (autoPong: boolean) => {
    const socket = new WebSocket(`ws://127.0.0.1:${t.port}/v1/jobs/${id}/logs`, {
      headers: { authorization: `Bearer ${t.key}` },
      autoPong,
    });
    let pings = 0;
    socket.on("ping", () => pings++);
    const closed = new Promise<number>((resolve) => socket.on("close", resolve));
    return { socket, closed, pings: () => pings };
  };
  const good = open(true);
  const dumb = open(false);
  assert.equal(await dumb.closed, 1006);
  while (good.pings() < 8) await pause(10);
  assert.equal(good.socket.readyState, WebSocket.OPEN);
  assert.equal(t.server.activeRequests, 1);
  // A runner that stops tells its followers, and does not wait for the job.
  t.server.stopAccepting();
  await t.server.drained(AbortSignal.timeout(5_000));
  assert.equal(await good.closed, 1001);
  assert.deepEqual(t.errors, []);
});

Deno.test("WebSockets count among the connections", async () => {
  await using t = await serve({
    logs: silent(),
  }, { maxConnections: 1 });
  const { id } = t.api.add();
  const first = new WebSocket(`ws://127.0.0.1:${t.port}/v1/jobs/${id}/logs`, {
    headers: { authorization: `Bearer ${t.key}` },
  });
  await new Promise((resolve) => first.on("open", resolve));
  const second = await fetch(`http://127.0.0.1:${t.port}/healthz`);
  assert.equal((await second.json()).code, "too_many_connections");
  first.terminate();
  while (t.server.connections > 0) await pause(5);
  const third = await fetch(`http://127.0.0.1:${t.port}/healthz`);
  assert.equal(await third.text(), "ok\n");
});

Deno.test("a log that fails half-way closes with 1011, and reveals no internals", async () => {
  await using t = await serve({
    logs: endless(async function* () {
      yield await Promise.resolve(new TextEncoder().encode("half"));
      throw new Error("hunter2");
    }),
  });
  const { id } = t.api.add();
  const { binary, texts, code } = await converse(t, `/v1/jobs/${id}/logs`);
  assert.deepEqual({ binary, texts, code }, { binary: "half", texts: [], code: 1011 });
  assert.equal(t.errors.length, 1);
});

for (const isStalled of [false, true]) {
  Deno.test(`a revoked key ends its open WebSocket${isStalled ? ", also of a client that does not read" : ""}`, async () => {
    const chunk = new Uint8Array(HIGH_WATER_BYTES);
    const logs = isStalled
      ? endless(async function* () {
        while (true) yield await Promise.resolve(chunk);
      })
      : silent();
    await using t = await serve({ logs });
    const stop = new AbortController();
    const watching = t.api.authenticator.watch(stop.signal);
    const { id } = t.api.add();
    const socket = new WebSocket(`ws://127.0.0.1:${t.port}/v1/jobs/${id}/logs`, {
      headers: { authorization: `Bearer ${t.key}` },
    });
    const closed = Promise.withResolvers<{ code: number; reason: string }>();
    socket.on("close", (code, reason) => closed.resolve({ code, reason: reason.toString() }));
    socket.on("error", () => {});
    await new Promise((resolve) => socket.on("open", resolve));
    if (isStalled) socket.pause();
    await pause(50);
    t.api.keys.revoke(t.api.keys.list()[0]?.id ?? "");
    await t.api.clock.tick(2_000);
    while (t.server.activeRequests > 0) await pause(10);
    if (isStalled) socket.resume();
    const { code, reason } = await closed.promise;
    if (!isStalled) {
      assert.equal(code, 1008);
      assert.equal(reason, "Cannot go on: the key has been revoked");
    }
    assert.deepEqual(t.errors, []);
    stop.abort("done");
    await watching;
  });
}

for (
  const [what, path, last] of [
    [
      "followed log",
      (id: JobId) => `/v1/jobs/${id}/logs?follow=1`,
      /^200 cicd-interrupted reason=unauthorized /,
    ],
    [
      "stream of events",
      () => "/v1/events",
      /\nevent: interrupted\nid: \d+\ndata: {"reason":"unauthorized",/,
    ],
    [
      "wait for a job",
      (id: JobId) => `/v1/jobs/${id}/wait?timeout=1h`,
      /^401 [^]*the key has been revoked/,
    ],
  ] as const
) {
  Deno.test(`a revoked key ends its open ${what}`, async () => {
    await using t = await serve({ logs: silent() });
    const stop = new AbortController();
    const watching = t.api.authenticator.watch(stop.signal);
    const { id } = t.api.add();
    const ended = fetch(`http://127.0.0.1:${t.port}${path(id)}`, {
      headers: { authorization: `Bearer ${t.key}` },
    }).then(async (response) => `${response.status} ${await response.text()}`);
    while (t.server.activeRequests === 0) await pause(5);
    await pause(50);
    t.api.keys.revoke(t.api.keys.list()[0]?.id ?? "");
    await t.api.clock.tick(2_000);
    assert.match(await ended, last);
    assert.deepEqual(t.errors, []);
    stop.abort("done");
    await watching;
  });
}

Deno.test("a request for another protocol is refused, and the server goes on", async () => {
  await using t = await serve();
  const socket = connect(t.port, "127.0.0.1");
  let got = "";
  socket.on("data", (data) => got += data);
  socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
  await new Promise((resolve) => socket.on("close", resolve));
  assert.match(got, /^HTTP\/1\.1 400 [^]*only WebSocket is offered/);
  assert.equal(await (await fetch(`http://127.0.0.1:${t.port}/healthz`)).text(), "ok\n");
});
