import assert from "node:assert/strict";
import type { ConsoleState } from "@lib/features/console/states.ts";
import type { HttpOutcome } from "@lib/features/console/faults.ts";
import type { SocketEnd } from "@lib/foundations/http/message_socket.ts";
import { RecordingLogger } from "../../../support/recording_logger.ts";
import { SETTINGS, startLink } from "./link_fixture.ts";
import { json, ScriptedConsole } from "./scripted_console.ts";

const never = new AbortController().signal;

Deno.test("ConsoleLink sends nothing before the console's first frame, then a heartbeat", async () => {
  const console = new ScriptedConsole();
  console.onDial = (socket) => socket.open();
  await using t = startLink({}, console);
  await t.clock.tick(2_900);
  assert.equal(console.last.sent.length, 0);
  console.last.say({ protocol_version: "1.0", type: "log:subscribe", payload: { paths: ["*"] } });
  await t.clock.tick(0);
  const [beat] = console.last.sent;
  assert.equal(beat?.type, "heartbeat");
  assert.equal(beat?.protocol_version, "1.0");
  assert.equal(t.link.view.state, "connected");
  for (const name of ["sindri_version", "cli_target"]) assert.ok(!(name in (beat?.payload ?? {})));
});

Deno.test("ConsoleLink sends a heartbeat after 3 s to a console that says nothing first", async () => {
  const console = new ScriptedConsole();
  console.onDial = (socket) => socket.open();
  await using t = startLink({}, console);
  await t.clock.tick(3_000);
  assert.equal(console.last.of("heartbeat").length, 1);
  assert.equal(t.link.view.state, "connected");
});

Deno.test("ConsoleLink lets a known instance connect before it registers again", async () => {
  const console = new ScriptedConsole();
  const order: string[] = [];
  const { answer } = console;
  console.answer = (request) => {
    order.push(`${request.method} ${request.path}`);
    return request.method === "GET"
      ? json(200, { id: "box", region: "iad", extensions: ["node"] })
      : answer(request);
  };
  console.onDial = (socket) => {
    order.push(`dial ${socket.instanceId}`);
    socket.ready();
  };
  await using t = startLink({}, console);
  await t.clock.tick(1_000);
  assert.deepEqual(order, ["GET /api/v1/instances/box", "dial box", "POST /api/v1/instances"]);
  // Left out, they would be forgotten.
  const { body } = console.requests.at(-1) ?? {};
  assert.deepEqual(body?.["extensions"], ["node"]);
  assert.equal(body?.["region"], "iad");
  assert.equal(t.link.view.registration.state, "done");
});

Deno.test("ConsoleLink uses, and keeps, the id that the console gives a new instance", async () => {
  const console = new ScriptedConsole();
  console.answer = ({ method }) =>
    method === "GET" ? json(404, { error: "Not Found" }) : json(201, { id: "cuid7" });
  await using t = startLink({}, console);
  await t.clock.tick(0);
  assert.equal(console.last.instanceId, "cuid7");
  assert.equal(console.last.of("heartbeat")[0]?.["instance_id"], "cuid7");
  assert.deepEqual(JSON.parse(t.saved[0] ?? ""), { url: SETTINGS.url, name: "box", id: "cuid7" });
  assert.equal(console.requests.filter(({ method }) => method === "POST").length, 1);
});

Deno.test("ConsoleLink stays connected while its registration is refused", async () => {
  const console = new ScriptedConsole();
  console.answer = ({ method }) =>
    method === "GET"
      ? json(200, {})
      : json(422, { error: "Validation Error", details: ["distro"] });
  await using t = startLink({}, console);
  await t.clock.tick(1_000);
  assert.equal(t.link.view.state, "connected");
  assert.equal(t.link.view.registration.state, "refused");
  assert.match(t.link.view.registration.detail, /Validation Error.*distro/);
});

Deno.test("ConsoleLink ends a connection whose heartbeat is not acknowledged, and comes back", async () => {
  const console = new ScriptedConsole();
  await using t = startLink({}, console);
  await t.clock.tick(0);
  console.last.acknowledges = false;
  await t.clock.tick(20_000 + 19_999);
  assert.equal(t.link.view.state, "connected");
  await t.clock.tick(1);
  assert.equal(t.link.view.state, "silent");
  await t.clock.tick(1_000);
  assert.equal(t.link.view.state, "connected");
  assert.equal(console.sockets.length, 2);
  const events = console.last.of("event").map(({ eventType }) => eventType);
  assert.ok(events.includes("HEARTBEAT_RECOVERED"));
});

Deno.test("ConsoleLink never has two connections, whatever ends them", async () => {
  const ends: readonly SocketEnd[] = [
    { kind: "broken" },
    { kind: "closed", code: 1001, reason: "" },
    { kind: "too_large" },
    { kind: "invalid", reason: "no" },
  ];
  const console = new ScriptedConsole();
  let most = 0;
  console.onDial = (socket) => {
    most = Math.max(most, console.alive);
    socket.ready();
  };
  await using t = startLink({}, console);
  for (const end of ends) {
    await t.clock.tick(700_000);
    console.last.end(end);
    await t.clock.tick(0);
  }
  await t.clock.tick(700_000);
  assert.equal(most, 1);
  assert.ok(console.sockets.length > ends.length);
});

Deno.test("ConsoleLink connects once more, in order, after a connection that broke", async () => {
  const console = new ScriptedConsole();
  await using t = startLink({}, console);
  await t.clock.tick(0);
  console.last.end({ kind: "broken" });
  await t.clock.tick(1_000);
  assert.equal(console.sockets.length, 2);
  await t.clock.tick(39_000);
  assert.equal(console.last.closedWith, undefined);
  await t.clock.tick(2_000);
  assert.equal(console.sockets[1]?.closedWith, "1000 agent reconnects");
  assert.equal(console.sockets.length, 3);
  await t.clock.tick(120_000);
  assert.equal(console.sockets.length, 3);
  assert.equal(t.link.view.state, "connected");
});

Deno.test("ConsoleLink sends over the next connection what comes while one closes", async () => {
  const console = new ScriptedConsole();
  await using t = startLink({}, console);
  await t.clock.tick(0);
  console.last.end({ kind: "broken" });
  console.onDial = (socket) => {
    socket.ignoresClose = true;
    socket.ready();
  };
  await t.clock.tick(41_000);
  const closing = console.last;
  assert.equal(closing.closedWith, "1000 agent reconnects");
  t.link.tell("ERROR", "A job failed meanwhile");
  closing.end({ kind: "closed", code: 1000, reason: "" });
  await t.clock.tick(1_000);
  assert.equal(console.sockets.length, 3);
  const told = console.last.of("event").map(({ message }) => message);
  assert.ok(told.includes("A job failed meanwhile"), told.join());
});

Deno.test("ConsoleLink does not connect anew while a terminal is open", async () => {
  const console = new ScriptedConsole();
  const handler = {
    types: ["terminal:create"],
    needsConnection: true,
    handle: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
  await using t = startLink({ handlers: [handler] }, console);
  await t.clock.tick(0);
  console.last.end({ kind: "broken" });
  await t.clock.tick(101_000);
  assert.equal(console.sockets.length, 2);
  handler.needsConnection = false;
  await t.clock.tick(10_000);
  assert.equal(console.sockets.length, 3);
});

Deno.test("ConsoleLink waits longer after each failure, and starts over after a good connection", async () => {
  const console = new ScriptedConsole();
  console.onDial = (socket) => socket.end({ kind: "unreachable", reason: "refused" });
  await using t = startLink({ random: () => 0.999 }, console);
  const gaps: number[] = [];
  for (let tries = 1; tries <= 5; tries++) {
    await t.clock.tick(0);
    gaps.push((t.link.view.nextTryAt ?? 0) - t.clock.now());
    await t.clock.tick(gaps.at(-1) ?? 0);
  }
  assert.deepEqual(gaps, gaps.toSorted((a, b) => a - b));
  assert.ok((gaps.at(-1) ?? 0) > 40_000);
  console.onDial = (socket) => socket.ready();
  await t.clock.tick(60_000);
  assert.equal(t.link.view.state, "connected");
  console.last.end({ kind: "closed", code: 1001, reason: "" });
  await t.clock.tick(0);
  assert.ok((t.link.view.nextTryAt ?? 0) - t.clock.now() <= 3_000);
});

const answers: readonly [HttpOutcome, ConsoleState, RegExp][] = [
  [
    json(401, { error: "Unauthorized", message: "Invalid API key" }),
    "unauthorized",
    /Invalid API key/,
  ],
  [json(404, undefined), "not_found", /404/],
  [json(422, { error: "Validation Error" }), "refused", /422.*Validation Error/],
  [json(429, { error: "Too Many" }, "120"), "rate_limited", /429/],
  [json(500, { error: "Internal" }), "console_error", /500/],
  [json(200, undefined), "not_a_console", /not JSON/],
  [json(302, undefined), "not_a_console", /302/],
  [{ kind: "unreachable", reason: "connection refused" }, "unreachable", /refused/],
];
for (const [outcome, state, detail] of answers) {
  const what = outcome.kind === "answer" ? `${outcome.status}` : outcome.kind;
  Deno.test(`ConsoleLink is ${state} after a request that is answered with ${what}`, async () => {
    const console = new ScriptedConsole();
    console.answer = () => outcome;
    await using t = startLink({}, console);
    await t.clock.tick(0);
    assert.equal(t.link.view.state, state);
    assert.match(t.link.view.detail, detail);
    if (state === "rate_limited") {
      assert.equal((t.link.view.nextTryAt ?? 0) - t.clock.now(), 120_000);
    }
  });
}

Deno.test("ConsoleLink takes 409 for a registration", async () => {
  const console = new ScriptedConsole();
  console.answer = ({ method }) =>
    method === "GET" ? json(404, {}) : json(409, { error: "Conflict" });
  await using t = startLink({}, console);
  await t.clock.tick(0);
  assert.equal(t.link.view.state, "connected");
  assert.equal(console.last.instanceId, "box");
});

const ends: readonly [SocketEnd, ConsoleState][] = [
  [{ kind: "refused", status: 401, retryAfter: undefined }, "unauthorized"],
  [{ kind: "refused", status: 404, retryAfter: undefined }, "not_found"],
  [{ kind: "refused", status: 429, retryAfter: "5" }, "rate_limited"],
  [{ kind: "refused", status: 500, retryAfter: undefined }, "console_error"],
  [{ kind: "refused", status: 200, retryAfter: undefined }, "not_a_console"],
  [{ kind: "closed", code: 1008, reason: "Invalid API key" }, "unauthorized"],
  [{ kind: "closed", code: 1008, reason: "Unknown instance ID: box" }, "unknown_instance"],
  [{ kind: "closed", code: 1001, reason: "Replaced by new connection" }, "replaced"],
  [{ kind: "closed", code: 1000, reason: "" }, "closed_at_once"],
  [{ kind: "broken" }, "closed_at_once"],
  [{ kind: "too_large" }, "oversized"],
  [{ kind: "invalid", reason: "invalid UTF-8 sequence" }, "garbled"],
  [{ kind: "unreachable", reason: "no route" }, "unreachable"],
];
for (const [end, state] of ends) {
  Deno.test(`ConsoleLink is ${state} after a connection that ends as ${JSON.stringify(end)}`, async () => {
    const console = new ScriptedConsole();
    console.onDial = (socket) => {
      if (end.kind !== "refused" && end.kind !== "unreachable") socket.open();
      socket.end(end);
    };
    await using t = startLink({}, console);
    await t.clock.tick(0);
    assert.equal(t.link.view.state, state);
    // A fault stays in view while the next try is under way.
    console.onDial = () => {};
    await t.clock.tick((t.link.view.nextTryAt ?? 0) - t.clock.now());
    assert.equal(console.alive, 1);
    assert.equal(t.link.view.state, state);
  });
}

Deno.test("ConsoleLink asks again who it is once the console does not know the instance", async () => {
  const console = new ScriptedConsole();
  await using t = startLink({}, console);
  await t.clock.tick(0);
  const before = console.requests.filter(({ method }) => method === "GET").length;
  console.last.end({ kind: "closed", code: 1008, reason: "Unknown instance ID: box" });
  await t.clock.tick(31_000);
  assert.equal(console.requests.filter(({ method }) => method === "GET").length, before + 1);
  assert.equal(t.link.view.state, "connected");
});

Deno.test("ConsoleLink gives up a handshake that is not answered", async () => {
  const console = new ScriptedConsole();
  console.onDial = () => {};
  await using t = startLink({}, console);
  await t.clock.tick(10_000);
  assert.equal(t.link.view.state, "unreachable");
  assert.match(t.link.view.detail, /within 10 s/);
});

Deno.test("ConsoleLink drops garbage frames, and ends a link of nothing else", async () => {
  const console = new ScriptedConsole();
  await using t = startLink({}, console);
  await t.clock.tick(0);
  for (const data of ["no", "[]", "null", "{}", new Uint8Array([0xff])]) console.last.give(data);
  assert.equal(t.link.view.state, "connected");
  assert.equal(t.link.view.unusableFrames, 5);
  for (let count = 5; count < 100; count++) console.last.give("{");
  await t.clock.tick(0);
  assert.equal(t.link.view.state, "garbled");
});

Deno.test("ConsoleLink gives no handler a frame that a browser could have forged", async () => {
  const console = new ScriptedConsole();
  const handled: unknown[] = [];
  const handler = {
    types: ["command:dispatch"],
    needsConnection: false,
    handle: (message: unknown) => Promise.resolve(void handled.push(message)),
    close: () => Promise.resolve(),
  };
  await using t = startLink({ handlers: [handler] }, console);
  await t.clock.tick(0);
  const real = {
    protocol_version: "1.0",
    type: "command:dispatch",
    payload: { command_id: "c1", command: "true", timeout_ms: 1_000 },
  };
  console.last.say({ ...real, protocolVersion: "1.0", channel: "commands", ts: 1, data: {} });
  console.last.say({ ...real, channel: "commands" });
  await t.clock.tick(0);
  assert.deepEqual(handled, []);
  assert.equal(t.link.view.refusedFrames, 2);
  console.last.say(real);
  await t.clock.tick(0);
  assert.equal(handled.length, 1);
});

Deno.test("ConsoleLink sends whole numbers, and the first metrics after one interval", async () => {
  const console = new ScriptedConsole();
  await using t = startLink({}, console);
  await t.clock.tick(59_999);
  assert.equal(console.last.of("metrics").length, 0);
  await t.clock.tick(1);
  const [metrics] = console.last.of("metrics");
  for (const part of ["memory", "network"]) {
    const fields: unknown = metrics?.[part];
    assert.ok(typeof fields === "object" && fields !== null);
    for (const [name, value] of Object.entries(fields)) {
      if (!name.endsWith("percent")) assert.ok(Number.isInteger(value), name);
    }
  }
  for (const beat of console.last.of("heartbeat")) {
    for (const value of Object.values(beat)) {
      if (typeof value === "number") assert.ok(Number.isInteger(value));
    }
  }
});

Deno.test("ConsoleLink ends in order: handlers, what waits, a close frame that is answered", async () => {
  const console = new ScriptedConsole();
  const order: string[] = [];
  const handler = {
    types: [],
    needsConnection: false,
    handle: () => Promise.resolve(),
    close: (reason: string) => Promise.resolve(void order.push(`handlers: ${reason}`)),
  };
  const usage = {
    unsent: () => [USAGE],
    markSent: (ids: readonly number[]) => void order.push(`marked ${ids.join()}`),
  };
  await using t = startLink({ handlers: [handler], usage: () => Promise.resolve(usage) }, console);
  await t.clock.tick(0);
  await t.link.stop(never);
  assert.equal(console.last.closedWith, "1000 agent shutdown");
  assert.deepEqual(order, ["handlers: agent shutdown", "marked 7"]);
  assert.deepEqual(console.last.sent.slice(-2).map(({ type }) => type), [
    "event",
    "llm_usage:batch",
  ]);
  assert.equal(t.link.view.state, "stopped");
});

Deno.test("ConsoleLink breaks a connection that does not answer its close frame", async () => {
  const console = new ScriptedConsole();
  await using t = startLink({}, console);
  await t.clock.tick(0);
  console.last.ignoresClose = true;
  const stopped = t.link.stop(never);
  await t.clock.tick(2_500);
  await stopped;
  assert.equal(console.alive, 0);
});

Deno.test("ConsoleLink stops at once in each state without a connection", async () => {
  for (const kind of ["waiting", "asking", "dialling"]) {
    const console = new ScriptedConsole();
    console.onDial = () => {};
    const asked = Promise.withResolvers<HttpOutcome>();
    if (kind === "waiting") console.answer = () => json(500, {});
    await using t = startLink(
      kind === "asking"
        ? {
          ask: (_request, signal) => {
            signal.addEventListener("abort", () => asked.reject(signal.reason));
            return asked.promise;
          },
        }
        : {},
      console,
    );
    await t.clock.tick(0);
    await t.link.stop(never);
    assert.equal(t.link.view.state, "stopped", kind);
    assert.equal(console.alive, 0);
  }
});

Deno.test("ConsoleLink sends usage again unless a later heartbeat was acknowledged", async () => {
  const console = new ScriptedConsole();
  const marked: number[] = [];
  const usage = {
    unsent: () => marked.length === 0 ? [USAGE] : [],
    markSent: (ids: readonly number[]) => void marked.push(...ids),
  };
  await using t = startLink({ usage: () => Promise.resolve(usage) }, console);
  await t.clock.tick(30_000);
  assert.equal(console.last.of("llm_usage:batch").length, 1);
  console.last.end({ kind: "broken" });
  await t.clock.tick(1_000 + 30_000);
  assert.equal(console.last.of("llm_usage:batch").length, 1);
  assert.deepEqual(marked, []);
  await t.clock.tick(20_000);
  assert.deepEqual(marked, [7]);
});

Deno.test("ConsoleLink goes on though its own records fail", async () => {
  const console = new ScriptedConsole();
  console.answer = ({ method }) =>
    method === "GET" ? json(404, { error: "Not Found" }) : json(201, { id: "cuid7" });
  let isFull = true;
  const fail = () => {
    if (isFull) throw new Error("No space left on device");
  };
  const usage = { unsent: () => [USAGE], markSent: fail };
  const log = new RecordingLogger();
  await using t = startLink({
    log,
    record: {
      read: () => Promise.resolve(undefined),
      write: async () => await Promise.resolve().then(fail),
    },
    usage: () => Promise.resolve().then(fail).then(() => usage),
  }, console);
  await t.clock.tick(0);
  assert.deepEqual([t.link.view.state, t.link.view.detail], ["failed", "No space left on device"]);
  isFull = false;
  await t.clock.tick(1_000);
  assert.equal(t.link.view.state, "connected");
  assert.equal(console.requests.filter(({ method }) => method === "POST").length, 1);
  isFull = true;
  await t.clock.tick(30_000 + 20_000);
  assert.equal(t.link.view.state, "connected");
  assert.equal(console.sockets.length, 1);
  await t.link.stop(new AbortController().signal);
  assert.match(console.last.closedWith ?? "", /^1000 /);
  assert.ok(log.of("error").length >= 2);
});

Deno.test("ConsoleLink writes its key into no log and no state", async () => {
  const console = new ScriptedConsole();
  console.answer = () => json(401, { message: "Bad key sk-very-secret\nfor you" });
  const log = new RecordingLogger();
  await using t = startLink({ log }, console);
  await t.clock.tick(0);
  assert.equal(t.link.view.state, "unauthorized");
  assert.ok(!JSON.stringify([log.messages, t.link.view]).includes("sk-very-secret"));
  assert.match(t.link.view.detail, /Bad key \[secret\] for you/);
});

const USAGE = {
  id: 7,
  ts: 1_700_000_000_000,
  provider: "anthropic",
  model: "claude-sonnet-4",
  operation: "chat",
  inputTokens: 5,
  outputTokens: 6,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  costUsd: 0.1,
  captureTier: "proxy" as const,
};
