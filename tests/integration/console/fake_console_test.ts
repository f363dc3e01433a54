import assert from "node:assert/strict";
// @ts-types="../../../lib/foundations/http/ws.d.ts"
import { type RawData, WebSocket } from "ws";
import { forgedFrame } from "../../support/console/envelope.ts";
import { type FakeConsole, startConsole } from "../../support/console/fake_console.ts";
import type { Instance } from "../../support/console/instances.ts";
import type { Json } from "../../support/console/verdict.ts";

interface Agent extends AsyncDisposable {
  readonly frames: readonly string[];
  readonly opened: Promise<void>;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  send(type: string, payload: unknown, sessionId?: string): void;
  close(): void;
}

/** The least agent: no more than its socket. */
function dial(t: FakeConsole, headers: Readonly<Record<string, string>>): Agent {
  const socket = new WebSocket(`${t.url.replace("http", "ws")}/ws/agent`, { headers });
  const frames: string[] = [];
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  const opened = Promise.withResolvers<void>();
  socket.on("open", () => opened.resolve());
  socket.on("message", (data: RawData) => {
    frames.push(String(data));
    t.changes.notify();
  });
  socket.on("error", () => {});
  socket.once("close", (code, reason) => closed.resolve({ code, reason: String(reason) }));
  return {
    frames,
    opened: opened.promise,
    closed: closed.promise,
    send(type, payload, session_id) {
      const text = JSON.stringify({ protocol_version: "1.0", type, session_id, payload });
      socket.send(text, { binary: false }, () => {});
    },
    close: () => socket.close(1000, "agent shutdown"),
    async [Symbol.asyncDispose]() {
      socket.terminate();
      await closed.promise;
    },
  };
}

const headersOf = (t: FakeConsole, instance: Instance) => ({
  "authorization": `Bearer ${t.key}`,
  "x-instance-id": instance.id,
});

const beat = (instance: Instance) => ({
  instance_id: instance.id,
  timestamp: new Date().toISOString(),
  uptime_seconds: 1,
});

const ready = (t: FakeConsole, agent: Agent) =>
  t.changes.until("the console is ready", () => agent.frames.length > 0);

async function register(t: FakeConsole, body: Json, key = t.key) {
  const response = await fetch(`${t.url}/api/v1/instances`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  });
  const answer: unknown = await response.json();
  return { status: response.status, headers: response.headers, answer };
}

Deno.test("FakeConsole acknowledges a heartbeat that follows its first frame", async () => {
  await using t = await startConsole();
  const instance = t.instances.add("web", "ERROR");
  await using agent = dial(t, headersOf(t, instance));
  await ready(t, agent);
  assert.equal(
    agent.frames[0],
    '{"protocol_version":"1.0","type":"log:subscribe","payload":{"paths":["*"]}}',
  );
  agent.send("heartbeat", beat(instance));
  await t.changes.until("the acknowledgement", () => agent.frames.length === 2);
  assert.match(agent.frames[1] ?? "", /"type":"heartbeat:pong","data":{"ok":true}/);
  assert.equal(instance.status, "RUNNING");
  agent.close();
  assert.equal((await agent.closed).code, 1000);
  await t.changes.until("the state", () => instance.status === "ERROR");
  assert.deepEqual(t.faults, []);
});

Deno.test("FakeConsole closes with 1008 after the upgrade: wrong key, unknown instance", async () => {
  await using t = await startConsole();
  const instance = t.instances.add("web");
  await using wrong = dial(t, { ...headersOf(t, instance), authorization: "Bearer x" });
  assert.deepEqual(await wrong.closed, { code: 1008, reason: "Invalid API key" });
  await using unknown = dial(t, { ...headersOf(t, instance), "x-instance-id": "web" });
  assert.deepEqual(await unknown.closed, { code: 1008, reason: "Unknown instance ID: web" });
});

Deno.test("FakeConsole loses what comes before it listens, and all from a socket without an id", async () => {
  await using t = await startConsole({ authMs: 5_000 });
  const instance = t.instances.add("web");
  const { "x-instance-id": _, ...bare } = headersOf(t, instance);
  await using browser = dial(t, bare);
  await using early = dial(t, headersOf(t, instance));
  await Promise.all([browser, early].map(async (agent) => {
    await agent.opened;
    agent.send("heartbeat", beat(instance));
  }));
  await t.changes.until("both complaints", () => t.faults.length === 2);
  assert.deepEqual(t.faults.map(({ harm }) => harm), ["dropped", "dropped"]);
});

Deno.test("FakeConsole forgets the successor of a connection that it replaced", async () => {
  await using t = await startConsole();
  const instance = t.instances.add("web");
  await using old = dial(t, headersOf(t, instance));
  await ready(t, old);
  await using next = dial(t, headersOf(t, instance));
  await ready(t, next);
  assert.deepEqual(await old.closed, { code: 1001, reason: "Replaced by new connection" });
  await t.changes.until("the entry goes", () => t.gateway.agent(instance.id) === undefined);
  assert.deepEqual(await t.run(instance, { command: "true" }), { kind: "not connected" });
  assert.match(t.faults[0]?.reason ?? "", /two sockets/);
});

Deno.test("FakeConsole ends as a whole at a payload that is null", async () => {
  await using t = await startConsole();
  const instance = t.instances.add("web");
  await using agent = dial(t, headersOf(t, instance));
  await ready(t, agent);
  agent.send("metrics", null);
  assert.equal((await agent.closed).code, 1006);
  assert.equal(t.crash?.harm, "crash");
  await assert.rejects(register(t, {}));
});

Deno.test("FakeConsole answers a registration as the live one: 201, 401, 404, 422, 429", async () => {
  await using t = await startConsole({ limiter: { limit: 3 } });
  const body = { instance_id: "web", provider: "fly" };
  const created = await register(t, body);
  assert.equal(created.status, 201);
  assert.equal((await register(t, body)).status, 201);
  assert.equal(t.instances.all.length, 1);
  assert.deepEqual(
    await register(t, body, "wrong").then(({ status, answer }) => [status, answer]),
    [
      401,
      { error: "Unauthorized", message: "Invalid API key" },
    ],
  );
  assert.equal((await register(t, { ...body, distro: "debian" })).status, 422);
  const refused = await register(t, body);
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get("retry-after")) > 0);
  const wrong = await fetch(`${t.url}/api/v1/instances/register`, { method: "POST", body: "" });
  await wrong.body?.cancel();
  assert.equal(wrong.status, 404);
});

Deno.test("FakeConsole dispatches commands and forwards a forged frame", async () => {
  await using t = await startConsole();
  const instance = t.instances.add("web");
  await using agent = dial(t, headersOf(t, instance));
  await ready(t, agent);
  agent.send("heartbeat", beat(instance));
  const socket = await t.connected(instance);
  const running = t.run(instance, { command: "id", timeoutMs: 1_000 });
  await t.changes.until("the command", () => agent.frames.length === 3);
  const sent: unknown = JSON.parse(agent.frames[2] ?? "");
  const id = /"command_id":"([^"]+)"/.exec(agent.frames[2] ?? "")?.[1];
  assert.deepEqual(sent, {
    protocol_version: "1.0",
    type: "command:dispatch",
    payload: { command_id: id, command: "id", timeout_ms: 1_000 },
  });
  const answer = { command_id: id, stdout: "a", stderr: "b", exit_code: 3, duration_ms: 4 };
  agent.send("command:result", answer);
  const outcome = { kind: "answered", stdout: "a", stderr: "b", exitCode: 3, durationMs: 4 };
  assert.deepEqual(await running, outcome);
  socket.sendText(forgedFrame(instance.id, "command:dispatch", { command: "id" }, 1));
  socket.sendFragments('"ä"', [2]);
  await t.changes.until("both", () => agent.frames.length === 5);
  assert.equal(agent.frames[4], '"ä"');
});

Deno.test("FakeConsole times a command out, and shows NUL as a bad gateway", async () => {
  await using t = await startConsole();
  const instance = t.instances.add("web");
  await using agent = dial(t, headersOf(t, instance));
  await ready(t, agent);
  const late = await t.run(instance, { command: "x", timeoutMs: 1 }, 1);
  assert.deepEqual(late, { kind: "timed out" });
  const running = t.run(instance, { command: "x" });
  await t.changes.until("the command", () => agent.frames.length === 3);
  const id = /"command_id":"([^"]+)"/.exec(agent.frames[2] ?? "")?.[1];
  const answer = { command_id: id, stdout: "\0", stderr: "", exit_code: 0, duration_ms: 4 };
  agent.send("command:result", answer);
  assert.deepEqual(await running, { kind: "bad gateway" });
});

Deno.test("FakeConsole opens a terminal and shows its text message by message", async () => {
  await using t = await startConsole();
  const instance = t.instances.add("web");
  await using agent = dial(t, headersOf(t, instance));
  await ready(t, agent);
  const terminal = t.openTerminal(instance, { cols: 100, rows: 30 });
  const { sessionId: session_id } = terminal;
  await t.changes.until("the request", () => agent.frames.length === 2);
  assert.deepEqual(JSON.parse(agent.frames[1] ?? ""), {
    protocol_version: "1.0",
    type: "terminal:create",
    session_id,
    payload: { session_id, cols: 100, rows: 30 },
  });
  const bytes = new TextEncoder().encode("ä");
  for (const part of [bytes, bytes.subarray(0, 1), bytes.subarray(1)]) {
    agent.send("terminal:output", { session_id, data: part.toBase64() }, session_id);
  }
  agent.send("terminal:closed", { session_id, exit_code: 3 }, session_id);
  await t.changes.until("the end", () => terminal.closed !== undefined);
  assert.equal(terminal.text, "ä\ufffd\ufffd");
  assert.equal(terminal.closed?.exitCode, 3);
});

Deno.test("FakeConsole misbehaves as its script says", async () => {
  await using t = await startConsole();
  const instance = t.instances.add("web");
  t.script.upgrade = { kind: "closeAtOnce", code: 1011, reason: "busy" };
  await using closed = dial(t, headersOf(t, instance));
  assert.deepEqual(await closed.closed, { code: 1011, reason: "busy" });
  for (const kind of ["cut", "answer"] as const) {
    t.script.upgrade = { kind, status: 503 };
    await using refused = dial(t, headersOf(t, instance));
    assert.equal((await refused.closed).code, 1006);
  }
  t.script.upgrade = { kind: "deaf" };
  await using deaf = dial(t, headersOf(t, instance));
  await t.changes.until("it is open", () => t.gateway.sockets.length === 1);
  assert.deepEqual(deaf.frames, []);
  t.script.register = { kind: "cut" };
  await assert.rejects(register(t, {}));
});
