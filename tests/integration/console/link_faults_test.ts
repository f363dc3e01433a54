import assert from "node:assert/strict";
import type { ConsoleHandler } from "@lib/features/console/handler.ts";
import type { ConsoleState } from "@lib/features/console/states.ts";
import { Secret } from "@lib/foundations/secrets/secret.ts";
import { agentFrame, forgedFrame } from "../../support/console/envelope.ts";
import { OPCODES, rawFrame } from "../../support/console/raw_frame.ts";
import { HTML_ANSWER, type RestFault, type UpgradeFault } from "../../support/console/script.ts";
import { type LinkBench, linkBench, type LinkOptions } from "./_link.ts";

const MIB = 1024 * 1024;

const answer = (
  status: number,
  headers: Readonly<Record<string, string>> = {},
): RestFault & UpgradeFault => ({ kind: "answer", status, headers, body: '{"error":"x"}' });

/** Faults of an answer over HTTP, and the state that they are shown as. */
const ANSWERS: readonly (readonly [string, RestFault, ConsoleState])[] = [
  ["401", answer(401), "unauthorized"],
  ["409", answer(409), "refused"],
  ["422", answer(422), "refused"],
  ["429", answer(429, { "retry-after": "600" }), "rate_limited"],
  ["500", answer(500), "console_error"],
  ["HTML", HTML_ANSWER, "not_a_console"],
  ["a redirect", answer(302, { location: "http://127.0.0.1:1/" }), "not_a_console"],
  ["no answer", { kind: "cut" }, "unreachable"],
];

Deno.test("the link names each fault of an answer, and connects once it is mended", async (t) => {
  for (const [name, fault, state] of ANSWERS) {
    await t.step(name, async () => {
      await using bench = await linkBench({ prepare: ({ script }) => script.lookup = fault });
      const detail = await bench.state(state);
      assert.notEqual(detail, "");
      assert.ok(!detail.includes(bench.console.key));
      assert.equal(bench.log.of("warning").length, 1);
      assert.equal(bench.console.gateway.upgrades.length, 0);
      if (name === "429") {
        assert.ok((bench.link.view.nextTryAt ?? 0) - bench.link.view.since >= 599_000);
      }
      bench.console.script.lookup = undefined;
      if (state === "unreachable" || state === "console_error") await recovered(bench);
    });
  }
});

/** Faults of the upgrade. */
const UPGRADES: readonly (readonly [string, UpgradeFault, ConsoleState])[] = [
  ["401", answer(401), "unauthorized"],
  ["404", answer(404), "not_found"],
  ["429", answer(429, { "retry-after": "60" }), "rate_limited"],
  ["500", answer(500), "console_error"],
  ["HTML", HTML_ANSWER, "not_a_console"],
  ["no answer", { kind: "cut" }, "unreachable"],
  ["an open end", { kind: "hang" }, "unreachable"],
  ["a close at once", { kind: "closeAtOnce", code: 1011, reason: "busy" }, "closed_at_once"],
  ["the end of the console", { kind: "closeAtOnce", code: 1001, reason: "" }, "closed_at_once"],
  ["half-open silence", { kind: "deaf" }, "silent"],
];

Deno.test("the link names each fault of the upgrade, and never has two sockets", async (t) => {
  for (const [name, fault, state] of UPGRADES) {
    await t.step(name, async () => {
      await using bench = await linkBench({ prepare: ({ script }) => script.upgrade = fault });
      assert.notEqual(await bench.state(state), "");
      bench.console.script.upgrade = undefined;
      if (["unreachable", "console_error", "silent", "closed_at_once"].includes(state)) {
        await recovered(bench);
      }
    });
  }
});

async function recovered(bench: LinkBench): Promise<void> {
  await bench.state("connected");
  await bench.console.connected(bench.instance);
  assert.equal(bench.instance.status, "RUNNING");
  assert.deepEqual(bench.console.faults.filter(({ reason }) => !isFrozen(reason)), []);
}

/** A socket that froze is still open for the console, as after the loss of a network. */
const isFrozen = (reason: string) => reason === "two sockets for one instance";

Deno.test("the link shows 1008 as what it is: an unknown instance, or a wrong key", async () => {
  const found: RestFault = { kind: "answer", status: 200, body: "{}" };
  const prepare: LinkOptions["prepare"] = ({ script }) => script.lookup = found;
  await using nobody = await linkBench({ prepare, settings: { instanceId: "nobody" } });
  assert.match(await nobody.state("unknown_instance"), /Unknown instance ID: nobody/);
  await using wrong = await linkBench({ prepare, settings: { apiKey: new Secret("wrong") } });
  assert.match(await wrong.state("unauthorized"), /Invalid API key/);
  assert.equal(wrong.instance.status, "STOPPED");
  assert.equal(wrong.console.gateway.sockets.length, 1);
});

Deno.test("the link works though the console refuses the registration", async (t) => {
  for (const [name, fault, state] of ANSWERS) {
    await t.step(name, async () => {
      await using bench = await linkBench({ prepare: ({ script }) => script.register = fault });
      await bench.state("connected");
      await bench.console.changes.until(
        "the registration is refused",
        () => bench.console.requests.some(({ method }) => method === "POST"),
      );
      await bench.console.connected(bench.instance);
      if (name === "409") return;
      await until(() => bench.link.view.registration.state === state);
      assert.equal(bench.link.view.state, "connected");
    });
  }
});

async function until(check: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!check()) {
    assert.ok(Date.now() < deadline, check.toString());
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Takes what a console sends to begin work. */
function recorder() {
  const taken: unknown[] = [];
  const handler: ConsoleHandler = {
    types: ["command:dispatch"],
    needsConnection: false,
    handle({ payload }) {
      taken.push(payload);
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
  return { taken, handler };
}

Deno.test("the link reads a message whose frames are cut in each place of a character", async () => {
  const { taken, handler } = recorder();
  await using bench = await linkBench({ handlers: [handler], factor: 1 });
  await bench.state("connected");
  const agent = await bench.console.connected(bench.instance);
  const payload = { command_id: "a", command: "echo ä€😀" };
  const frame = agentFrame("command:dispatch", payload);
  const bytes = new TextEncoder().encode(frame).byteLength;
  const cuts = Array.from({ length: 16 }, (_, index) => bytes - 20 + index);
  agent.sendFragments(frame, cuts);
  for (const cut of cuts) agent.sendFragments(frame, [cut]);
  agent.sendBinary(new TextEncoder().encode(frame));
  await until(() => taken.length === cuts.length + 2);
  for (const one of taken) assert.deepEqual(one, payload);
  assert.equal(bench.link.view.state, "connected");
});

Deno.test("the link takes a frame of 1 MiB, and names a larger one", async () => {
  const { taken, handler } = recorder();
  await using bench = await linkBench({ handlers: [handler], factor: 1 });
  await bench.state("connected");
  const agent = await bench.console.connected(bench.instance);
  const empty = agentFrame("command:dispatch", { command: "" });
  const frame = agentFrame("command:dispatch", { command: "x".repeat(MIB - empty.length) });
  assert.equal(frame.length, MIB);
  agent.sendText(frame);
  await until(() => taken.length === 1);
  agent.sendText(`${frame} `);
  assert.notEqual(await bench.state("oversized"), "");
  await bench.console.changes.until("the end", () => agent.closing !== undefined);
  assert.equal(agent.closing?.code, 1009);
});

Deno.test("the link bears some garbage, and ends after too much of it", async () => {
  await using bench = await linkBench({ factor: 1 });
  await bench.state("connected");
  const agent = await bench.console.connected(bench.instance);
  for (const text of ["", "null", "[]", "{}", "<html>", '{"type":"x"}', "\ufffd"]) {
    agent.sendText(text);
  }
  agent.sendBinary(new Uint8Array([0xff, 0x00]));
  agent.send("command:unheard-of", {});
  await until(() => bench.link.view.unusableFrames === 8);
  assert.equal(bench.link.view.state, "connected");
  assert.equal(bench.log.of("warning").length, 1);
  for (let n = 0; n < 100; n++) agent.sendText("garbage");
  assert.notEqual(await bench.state("garbled"), "");
  assert.ok(bench.log.of("warning").length <= 2);
});

Deno.test("the link names a text that is not UTF-8, and bytes that are no frame", async (t) => {
  const broken = [
    ["no UTF-8", rawFrame(OPCODES.text, new Uint8Array([0xc3, 0x28]))],
    ["an unknown opcode", rawFrame(3, new Uint8Array([1]))],
    ["a lone continuation", rawFrame(OPCODES.continuation, new Uint8Array([65]))],
    ["an open control frame", rawFrame(OPCODES.ping, new Uint8Array([65]), false)],
  ] as const;
  for (const [name, bytes] of broken) {
    await t.step(name, async () => {
      await using bench = await linkBench({ factor: 1 });
      await bench.state("connected");
      const agent = await bench.console.connected(bench.instance);
      agent.sendRaw(bytes);
      assert.notEqual(await bench.state("garbled"), "");
    });
  }
});

Deno.test("the link refuses what a browser forged, and counts it", async () => {
  const { taken, handler } = recorder();
  await using bench = await linkBench({ handlers: [handler], factor: 1 });
  await bench.state("connected");
  const agent = await bench.console.connected(bench.instance);
  const { id } = bench.instance;
  agent.sendText(forgedFrame(id, "command:dispatch", { command: "id" }, Date.now()));
  await until(() => bench.link.view.refusedFrames === 1);
  agent.send("command:dispatch", { command: "id" });
  await until(() => taken.length === 1);
  assert.equal(bench.log.of("warning").length, 1);
});

Deno.test("the link is silent when acknowledgements stay away, and connects anew in order", async () => {
  await using bench = await linkBench({ console: { closeTimeoutMs: 300 } });
  await bench.state("connected");
  const agent = await bench.console.connected(bench.instance);
  agent.freeze();
  assert.match(await bench.state("silent"), /acknowledge/);
  await bench.state("connected");
  // The console gives up the old connection, and forgets the new one with it.
  await until(() => bench.link.view.connections === 3);
  const { sockets } = bench.console.gateway;
  const events = sockets.flatMap((socket) => socket.of("event"));
  assert.ok(events.some(({ payload }) => payload["eventType"] === "HEARTBEAT_RECOVERED"));
  assert.ok(bench.console.gateway.agent(bench.instance.id) !== undefined);
});

Deno.test("the link comes back after a cut in each state", async (t) => {
  const cases: readonly (readonly [string, (bench: LinkBench) => Promise<void>])[] = [
    ["when connected", async (bench) => {
      await bench.state("connected");
      (await bench.console.connected(bench.instance)).cut();
    }],
    ["before the first frame", async ({ console }) => {
      await console.changes.until("a socket", () => console.gateway.sockets.length === 1);
      console.gateway.sockets[0]?.cut();
    }],
    ["before the first acknowledgement", async ({ console, instance }) => {
      console.script.acknowledges = false;
      await console.connected(instance);
      console.gateway.sockets[0]?.cut();
      console.script.acknowledges = true;
    }],
    ["at a proper close", async (bench) => {
      await bench.state("connected");
      (await bench.console.connected(bench.instance)).close(1012, "restart");
    }],
  ];
  for (const [name, cut] of cases) {
    await t.step(name, async () => {
      await using bench = await linkBench();
      await cut(bench);
      const { console } = bench;
      await console.changes.until("a second socket", () => console.gateway.sockets.length >= 2);
      await bench.state("connected");
      assert.deepEqual(console.faults, []);
      assert.equal(console.instances.all.length, 1);
    });
  }
});

Deno.test("the link comes back though a command of the connection before still runs", async () => {
  const closed = Promise.withResolvers<void>();
  const reasons: string[] = [];
  const handler: ConsoleHandler = {
    types: ["command:dispatch"],
    needsConnection: false,
    async handle({ payload }, channel) {
      await closed.promise;
      const { command_id } = Object(payload);
      const result = { command_id, stdout: "", stderr: "cut", exit_code: -1, duration_ms: 1 };
      channel.send("command:result", result);
    },
    close(reason) {
      reasons.push(reason);
      closed.resolve();
      return Promise.resolve();
    },
  };
  await using bench = await linkBench({ handlers: [handler] });
  await bench.state("connected");
  const agent = await bench.console.connected(bench.instance);
  agent.send("command:dispatch", { command_id: "a", command: "sleep 300", timeout_ms: 300_000 });
  agent.send("command:dispatch", { command_id: "b", command: "sleep 300", timeout_ms: 300_000 });
  agent.sendText("garbage");
  await until(() => bench.link.view.unusableFrames === 1);
  agent.cut();
  const { console } = bench;
  await console.changes.until("a second socket", () => console.gateway.sockets.length === 2);
  assert.equal(reasons.length, 1);
  await bench.state("connected");
  const next = await bench.console.connected(bench.instance);
  await console.changes.until("both results", () => next.of("command:result").length === 2);
  assert.deepEqual(console.faults, []);
});

Deno.test("the link's backoff starts over after a good connection", async () => {
  await using bench = await linkBench();
  for (let n = 1; n <= 6; n++) {
    await bench.state("connected");
    const agent = await bench.console.connected(bench.instance);
    agent.cut();
    const detail = await bench.state("dropped");
    assert.notEqual(detail, "");
    const { nextTryAt = 0, since } = bench.link.view;
    assert.ok(nextTryAt - since <= 3_000, `${nextTryAt - since} ms`);
  }
  assert.deepEqual(bench.console.faults, []);
});

Deno.test("the link ends in order, from each state, with nothing of it left", async (t) => {
  await t.step("when connected", async () => {
    await using bench = await linkBench();
    await bench.state("connected");
    const agent = await bench.console.connected(bench.instance);
    await bench.link.stop(AbortSignal.timeout(10_000));
    const closing = await bench.console.changes.until("the end", () => agent.closing);
    assert.deepEqual(closing, { code: 1000, reason: "agent shutdown" });
    const last = agent.received.at(-1);
    assert.equal(last?.payload["eventType"], "DISCONNECT");
    assert.equal(bench.link.view.state, "stopped");
    assert.deepEqual(bench.console.faults, []);
  });
  const scripted: readonly (readonly [string, UpgradeFault])[] = [
    ["when dialling", { kind: "hang" }],
    ["when half-open", { kind: "deaf" }],
    ["when waiting to try again", answer(500)],
  ];
  for (const [name, fault] of scripted) {
    await t.step(name, async () => {
      await using bench = await linkBench({ prepare: ({ script }) => script.upgrade = fault });
      await bench.console.changes.until(
        "an upgrade",
        () => bench.console.gateway.upgrades.length > 0,
      );
      await bench.link.stop(AbortSignal.timeout(10_000));
      assert.equal(bench.link.view.state, "stopped");
    });
  }
});
