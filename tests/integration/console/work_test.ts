import assert from "node:assert/strict";
import { agentFrame } from "../../support/console/envelope.ts";
import type { ConsoleTerminal } from "../../support/console/work.ts";
import { pause } from "../../support/runner_process.ts";
import { type LinkedBench, linkedBench } from "./_bench.ts";

const ALL = "{ terminals: true, commands: ['*'], scripts: true, projects: [web, api] }";

const NO_API = "projects: { api: { terminals: { enabled: false } } }\n";

async function allowed(allow = ALL, config = ""): Promise<LinkedBench> {
  const t = await linkedBench({ keys: { allow }, config });
  await t.state("connected");
  return t;
}

async function shows(t: LinkedBench, terminal: ConsoleTerminal, text: string | RegExp) {
  const isThere = () =>
    typeof text === "string" ? terminal.text.includes(text) : text.test(terminal.text);
  await t.console.changes.until(`the terminal shows ${text}`, isThere);
}

async function openTerminals(t: LinkedBench): Promise<number> {
  return (await t.runner.json("GET", "/v1/terminals")).body.terminals.length;
}

async function noTerminals(t: LinkedBench): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (await openTerminals(t) > 0) {
    assert.ok(Date.now() < deadline, "a terminal is left");
    await pause(20);
  }
}

Deno.test("a command of the console is a job, with both streams apart and its exit code", async () => {
  await using t = await allowed();
  const outcome = await t.console.run(t.instance, {
    command: "echo out; echo 'ä€😀' >&2; printf 'a\\0b'; echo $WHO; exit 3",
    env: ["WHO=me"],
  });
  assert.ok(outcome.kind === "answered");
  const { stdout, stderr, exitCode, durationMs } = outcome;
  assert.deepEqual({ stdout, stderr, exitCode }, {
    stdout: "out\nabme\n",
    stderr: "ä€😀\n",
    exitCode: 3,
  });
  assert.ok(Number.isInteger(durationMs) && durationMs >= 0);
  const direct = await t.console.run(t.instance, { command: "printf", args: ["%s|", "a b", "*"] });
  assert.deepEqual(direct.kind === "answered" && [direct.stdout, direct.exitCode], ["a b|*|", 0]);
  const script = await t.console.runScript(
    t.instance,
    "#!/x\nfalse\n[[ é == é ]] && echo $0 | wc -l",
  );
  assert.deepEqual(script.kind === "answered" && [script.stdout, script.exitCode], ["1\n", 0]);
  const missing = await t.console.run(t.instance, { command: "/no/such", args: ["x"] });
  assert.ok(missing.kind === "answered");
  assert.notEqual(missing.exitCode, 0);
  assert.match(missing.stderr, /no\/such/);
  const { jobs } = (await t.runner.json("GET", "/v1/jobs?project=web")).body;
  assert.equal(jobs.length, 4);
  assert.ok(
    jobs.every((job: { spec: { labels: object } }) => "console.command" in job.spec.labels),
  );
  assert.deepEqual(t.console.faults, []);
});

Deno.test("a command that takes too long is stopped, and answered while the console waits", async () => {
  await using t = await allowed();
  // The agent has started then.
  await t.console.run(t.instance, { command: "true" });
  const outcome = await t.console.run(t.instance, {
    command: "echo begun; trap '' TERM; while :; do sleep 0.1; done",
    timeoutMs: 1_000,
  });
  assert.ok(outcome.kind === "answered", outcome.kind);
  assert.equal(outcome.exitCode, -1);
  assert.equal(outcome.stdout, "begun\n");
  assert.match(outcome.stderr, /^cicd-runner: .+\n$/);
  const [job] = (await t.runner.json("GET", "/v1/jobs")).body.jobs;
  assert.equal(job.state, "timed_out");
});

Deno.test("a command that does not start in time never runs", async () => {
  await using t = await allowed(ALL, "queue: { max_running: 1 }\n");
  const { body: long } = await t.runner.json("POST", "/v1/jobs", {
    body: { project: "web", command: ["sleep", "60"] },
  });
  const outcome = await t.console.run(t.instance, { command: "echo never", timeoutMs: 300 });
  assert.ok(outcome.kind === "answered", outcome.kind);
  assert.deepEqual([outcome.exitCode, outcome.stdout], [-1, ""]);
  assert.match(outcome.stderr, /did not start within 0.3 s/);
  const [job] = (await t.runner.json("GET", "/v1/jobs")).body.jobs;
  assert.equal(job.state, "cancelled");
  await t.runner.json("POST", `/v1/jobs/${long.id}/cancel`);
});

Deno.test("a command outlives its connection, and its result comes over the next one", async () => {
  await using t = await allowed();
  const first = await t.connected();
  const running = t.console.run(t.instance, { command: "sleep 1; echo done", timeoutMs: 30_000 });
  await t.console.changes.until("the job", () => first.received.length > 0);
  while ((await t.runner.json("GET", "/v1/jobs")).body.jobs[0]?.state !== "running") {
    await pause(20);
  }
  first.cut();
  const outcome = await running;
  assert.deepEqual(outcome.kind === "answered" && [outcome.stdout, outcome.exitCode], [
    "done\n",
    0,
  ]);
  assert.deepEqual(t.console.faults, []);
});

Deno.test("a runner that stops ends commands and terminals of the console, and says so", async () => {
  await using t = await allowed();
  const agent = await t.connected();
  const terminal = t.console.openTerminal(t.instance);
  terminal.type("echo $((6*7))\r");
  await shows(t, terminal, "42");
  const running = t.console.run(t.instance, { command: "sleep 60" });
  while ((await t.runner.json("GET", "/v1/jobs")).body.jobs[0]?.state !== "running") {
    await pause(20);
  }
  assert.equal((await t.runner.kill("SIGTERM")).code, 0);
  const outcome = await running;
  assert.ok(outcome.kind === "answered", outcome.kind);
  assert.equal(outcome.exitCode, -1);
  assert.match(outcome.stderr, /stopped: agent shutdown/);
  assert.equal(terminal.closed?.exitCode, -1);
  assert.deepEqual(agent.closing, { code: 1000, reason: "agent shutdown" });
  assert.deepEqual(t.console.faults, []);
});

Deno.test("a terminal of the console shows whole characters, takes sizes and input, and its exit code", async () => {
  await using t = await allowed();
  const terminal = t.console.openTerminal(t.instance, { cols: 91, rows: 17 });
  terminal.type("stty size\r");
  await shows(t, terminal, "17 91");
  terminal.resize(120, 40);
  terminal.type(
    "stty -echo; until [ \"$(stty size)\" = '40 120' ]; do sleep 0.02; done; stty size\r",
  );
  await shows(t, terminal, "40 120");
  terminal.type("yes '漢字é👩‍💻' | head -n 100000; printf '\\nen%s\\n' d\r");
  await shows(t, terminal, "\nend");
  assert.doesNotMatch(terminal.text, /\ufffd/);
  assert.equal(terminal.text.split("漢字é👩‍💻\r\n").length, 100_001);
  terminal.type("exit 7\r");
  await t.console.changes.until("the end", () => terminal.closed);
  assert.equal(terminal.closed?.exitCode, 7);
  assert.equal(terminal.endings, 1);
  await noTerminals(t);
  assert.deepEqual(t.console.faults, []);
});

Deno.test("terminals end with their connection, or when the console closes them", async () => {
  await using t = await allowed();
  const agent = await t.connected();
  const closed = t.console.openTerminal(t.instance);
  const cut = t.console.openTerminal(t.instance);
  await t.console.changes.until("both show something", () => closed.text !== "" && cut.text !== "");
  assert.equal(await openTerminals(t), 2);
  closed.close();
  await t.console.changes.until("the end", () => closed.closed);
  assert.equal(closed.closed?.exitCode, -1);
  assert.equal(await openTerminals(t), 1);
  agent.cut();
  await noTerminals(t);
  assert.equal(cut.closed, undefined);
  await t.connected();
});

Deno.test("the console may do nothing unless it is allowed, and the status says what it wanted", async () => {
  await using t = await linkedBench();
  await t.state("connected");
  const command = await t.console.run(t.instance, { command: "echo x" });
  assert.ok(command.kind === "answered");
  assert.deepEqual([command.stdout, command.exitCode], ["", 126]);
  assert.match(command.stderr, /Command "echo x" is not allowed.*console\.allow\.commands/);
  const script = await t.console.runScript(t.instance, "echo x");
  assert.match(script.kind === "answered" ? script.stderr : "", /Scripts are not allowed/);
  const terminal = t.console.openTerminal(t.instance);
  await t.console.changes.until("the refusal", () => terminal.closed);
  assert.equal(terminal.closed?.exitCode, 126);
  assert.match(terminal.text, /Terminals are not allowed/);
  assert.deepEqual((await t.runner.json("GET", "/v1/jobs")).body.jobs, []);
  const { body } = await t.runner.json("GET", "/v1/status");
  assert.match(body.links[0].detail, /^Refused 3 of its requests, at last: Terminals are not/);
  assert.match((await t.runner.cli(["status"])).stdout, /Refused 3 of its requests/);
  assert.equal((await t.status()).refused_requests, 3);
  assert.deepEqual(t.console.faults, []);
});

Deno.test("the console may do what is allowed, where it is allowed, and no more", async () => {
  await using t = await allowed(
    "{ terminals: true, commands: [echo yes], projects: [api] }",
    NO_API,
  );
  const agent = await t.connected();
  const yes = await t.console.run(t.instance, { command: "echo yes" });
  assert.deepEqual(yes.kind === "answered" && [yes.stdout, yes.exitCode], ["yes\n", 0]);
  const [job] = (await t.runner.json("GET", "/v1/jobs")).body.jobs;
  assert.equal(job.project, "api");
  for (const command of ["echo yes; id", "echo  yes"]) {
    const no = await t.console.run(t.instance, { command });
    assert.equal(no.kind === "answered" && no.exitCode, 126);
  }
  const env = await t.console.run(t.instance, { command: "echo yes", env: ["BASH_ENV=/x"] });
  assert.match(env.kind === "answered" ? env.stderr : "", /without variables/);
  agent.send("command:dispatch", { command_id: "p", command: "echo yes", project: "web" });
  const isIt = ({ payload }: { readonly payload: object }) =>
    Reflect.get(payload, "command_id") === "p";
  const { payload } = await t.console.message(agent, "command:result", isIt);
  assert.match(String(payload["stderr"]), /Project "web" is not allowed/);
  // The switch of the project applies as well.
  const terminal = t.console.openTerminal(t.instance);
  await t.console.changes.until("the refusal", () => terminal.closed);
  assert.equal(terminal.closed?.exitCode, -1);
  assert.match(terminal.text, /terminals\.enabled/);
  assert.deepEqual(t.console.faults, []);
});

Deno.test("what a browser could have forged runs nothing; nor does what is unusable or sent twice", async () => {
  await using t = await allowed();
  const agent = await t.connected();
  const marker = `${t.runner.directory}/forged`;
  const forged = { command_id: "f", command: `touch ${marker}`, timeout_ms: 1_000 };
  const native = { protocolVersion: "1.0", channel: "commands", ts: 1, data: {}, instanceId: "i" };
  const envelope = JSON.parse(agentFrame("command:dispatch", forged));
  agent.sendText(JSON.stringify({ ...native, ...envelope }));
  const create = JSON.parse(agentFrame("terminal:create", { session_id: "s" }, "s"));
  agent.sendText(JSON.stringify({ ...create, channel: "terminal" }));
  for (const payload of [null, [], "x", 7, {}, { command_id: 7 }, { command_id: "" }]) {
    agent.sendText(JSON.stringify({ ...envelope, payload }));
  }
  agent.send("command:exec", { ...forged, command_id: "g" });
  agent.send("command:dispatch", { ...forged, command_id: "bad", args: "x" });
  agent.send("terminal:input", { session_id: "none", data: "AAAA" }, "none");
  agent.send("terminal:resize", { session_id: "none", cols: 1, rows: 1 }, "none");
  agent.send("terminal:close", { session_id: "none" }, "none");
  agent.send("terminal:create", { session_id: "bad", cols: "wide" }, "bad");
  const file = `${t.runner.directory}/once`;
  const once = { command_id: "twice", command: `echo x >> ${file}`, timeout_ms: 5_000 };
  agent.send("command:dispatch", once);
  agent.send("command:dispatch", once);
  const isOf = (id: string) => ({ payload }: { readonly payload: object }) =>
    Reflect.get(payload, "command_id") === id;
  await t.console.message(agent, "command:result", isOf("twice"));
  agent.send("command:dispatch", once);
  await t.console.changes.until(
    "the result again",
    () => agent.of("command:result").filter(isOf("twice")).length === 2,
  );
  assert.equal(Deno.readTextFileSync(file), "x\n");
  const bad = await t.console.message(agent, "command:result", isOf("bad"));
  assert.match(String(bad.payload["stderr"]), /args/);
  const closed = await t.console.message(agent, "terminal:closed");
  assert.equal(closed.sessionId, "bad");
  assert.throws(() => Deno.statSync(marker), Deno.errors.NotFound);
  const status = await t.status();
  assert.equal(status.refused_frames, 2);
  assert.deepEqual(t.console.faults, []);
});

Deno.test("floods of sizes and input are bounded, told, and harm neither link nor terminal", async () => {
  await using t = await allowed();
  const agent = await t.connected();
  const terminal = t.console.openTerminal(t.instance);
  terminal.type("stty -echo; PS1=; stty size\r");
  await shows(t, terminal, "24 80");
  for (let count = 0; count < 10_000; count++) terminal.resize(60 + count % 100, 20 + count % 10);
  terminal.resize(133, 44);
  terminal.type("until [ \"$(stty size)\" = '44 133' ]; do sleep 0.02; done; stty size\r");
  await shows(t, terminal, "44 133");
  terminal.type("wc -c; echo en''d\r");
  // 1 MiB at once, which is read.
  terminal.type(`${"x".repeat(63)}\n`.repeat(16 * 1024));
  terminal.type("\x04");
  await shows(t, terminal, "1048576");
  await shows(t, terminal, "end");
  terminal.type("stty raw; sleep 1000\r");
  for (let count = 0; count < 30; count++) terminal.type("y".repeat(1024 * 1024));
  await shows(t, terminal, "the rest is dropped");
  const before = agent.of("heartbeat").length;
  await t.console.changes.until("heartbeats", () => agent.of("heartbeat").length > before + 2);
  terminal.close();
  await t.console.changes.until("the end", () => terminal.closed);
  await noTerminals(t);
  assert.equal((await t.status()).state, "connected");
  assert.deepEqual(t.console.faults, []);
});
