import assert from "node:assert/strict";
import { filesIn, statIfThereSync } from "@lib/foundations/files/records.ts";
import { dialWebSocket } from "@lib/foundations/http/web_socket_client.ts";
import { Stage } from "../support/container_stage.ts";
import { isAlive, pause } from "../support/runner_process.ts";

/** Opens a terminal in the container of a job. */
async function open(t: Stage, id: string, ...words: readonly string[]) {
  const query = new URLSearchParams({ columns: "70", rows: "20" });
  for (const word of words) query.append("command", word);
  const link = await dialWebSocket({
    at: { socketPath: t.runner.socket },
    path: `/v1/jobs/${id}/terminal?${query}`,
    maxReceiveBytes: 1_000_000,
  }, AbortSignal.timeout(60_000));
  const seen = { text: "", exit: "" };
  link.listen((message) => {
    if (typeof message !== "string") seen.text += new TextDecoder().decode(message);
    else if (message.includes('"exit"')) seen.exit = message;
  });
  const shows = async (text: string) => {
    for (let tries = 0; !seen.text.includes(text); tries++) {
      if (tries > 400) throw new Error(`${text} does not come: ${seen.text}`);
      await pause(50);
    }
  };
  return {
    seen,
    shows,
    link,
    type: (text: string) => link.send(new TextEncoder().encode(text)),
    [Symbol.dispose]: () => link[Symbol.dispose](),
  };
}

async function running(t: Stage): Promise<string> {
  const id = await t.submit({
    script: "echo inside >mark; echo begun; until [ -e go ]; do sleep 0.1; done",
    secrets: { TOKEN: "never-shown" },
    env: { PLAIN: "shown" },
  });
  await t.logHolds(id, "begun");
  return id;
}

Deno.test("a terminal in the container of a job has its files, environment and size, and no secrets", async () => {
  await using t = await Stage.open();
  const id = await running(t);
  {
    using one = await open(
      t,
      id,
      "sh",
      "-c",
      'until stty size 2>&1 | grep 20.70; do sleep 0.1; done; cat mark; echo "$PLAIN [$TOKEN]"; exit 7',
    );
    await one.link.closed;
    assert.match(one.seen.text, /20 70\r\ninside\r\nshown \[\]/);
    assert.match(one.seen.exit, /"exit_code":7/);
  }
  using shell = await open(t, id);
  await shell.link.send(JSON.stringify({ type: "resize", columns: 90, rows: 30 }));
  await shell.type("until stty size | grep 30.90; do sleep 0.1; done\r");
  await shell.shows("\n30 90");
  const { terminals } = JSON.parse(await t.curl("/v1/terminals"));
  assert.deepEqual(terminals.map(({ job }: { readonly job: string }) => job), [id]);
  // It ends with its job, which it does not hold up.
  await shell.type("touch go\r");
  assert.equal((await t.ended(id)).state, "succeeded");
  await shell.link.closed;
  await t.engine.left();
});

Deno.test("a terminal in a container that is killed leaves no process, nor does one of a killed agent", async () => {
  await using t = await Stage.open();
  const id = await running(t);
  using shell = await open(t, id, "sh", "-c", "trap '' HUP; echo ready; while :; do sleep 1; done");
  await shell.shows("ready");
  const count = async () => {
    using one = await open(t, id, "sh", "-c", "ps | grep -c '[t]rap'");
    await one.link.closed;
    return Number(/\d+/.exec(one.seen.text)?.[0]);
  };
  assert.ok(await count() > 0);
  const [terminal] = JSON.parse(await t.curl("/v1/terminals")).terminals;
  await t.curl(`/v1/projects/web/terminals/${terminal.id}/kill`, "-X", "POST");
  assert.equal(await count(), 0);

  using orphan = await open(
    t,
    id,
    "sh",
    "-c",
    "trap '' HUP; echo ready; while :; do sleep 1; done",
  );
  await orphan.shows("ready");
  for (const pid of t.runner.agentPids()) {
    Deno.kill(pid, "SIGKILL");
    while (isAlive(pid)) await pause(20);
  }
  // The runner needs the next one to follow the job.
  while (t.runner.agentPids().length === 0) await pause(20);
  assert.equal(await count(), 0);
  await t.curl(`/v1/jobs/${id}/cancel`, "-X", "POST");
  await t.ended(id);
  await t.engine.left();
});

/** Runs a command in the container of a job, and returns what it shows. */
async function within(t: Stage, id: string, script: string): Promise<string> {
  using one = await open(t, id, "sh", "-c", script);
  await one.link.closed;
  return one.seen.text;
}

/** Fails with files in the workspace and outside of it. */
const FAIL = {
  script: "echo inside >mark; echo outside >/tmp/mark; exit 3",
  secrets: { TOKEN: "never-shown" },
  env: { PLAIN: "shown" },
  limits: { memory: "64M" },
  hold_on_failure: "1h",
};
const LOOK = 'cat mark /tmp/mark; echo "$PLAIN [$TOKEN]"';
const SEEN = /inside\r\noutside\r\nshown \[\]/;

function records(t: Stage): readonly string[] {
  return filesIn(`${t.runner.stateDir}/projects/web/holds`);
}

function attemptOf(t: Stage, id: string): string {
  return `${t.runner.stateDir}/projects/web/jobs/${id}/1`;
}

async function failed(t: Stage, more: Readonly<Record<string, unknown>> = {}) {
  const job = await t.ended(await t.submit({ ...FAIL, ...more }));
  assert.equal(job.state, "failed", job.message);
  return job;
}

async function killAgents(t: Stage): Promise<void> {
  for (const pid of t.runner.agentPids()) {
    Deno.kill(pid, "SIGKILL");
    while (isAlive(pid)) await pause(20);
  }
}

async function unrecorded(t: Stage): Promise<void> {
  const signal = AbortSignal.timeout(60_000);
  while (records(t).length > 0) {
    signal.throwIfAborted();
    await pause(50);
  }
}

Deno.test("a failed job with a container is held in it, entered, and released; nothing is left", async () => {
  await using t = await Stage.open();
  const job = await failed(t);
  assert.equal(job.exit_code, 3);
  assert.doesNotMatch(job.message, /held/);
  assert.notEqual(job.held_until, null);
  assert.match(await within(t, job.id, LOOK), SEEN);
  await t.engine.left([`cicd-job-${job.id}-1`]);
  // It goes on without the runner and without the agent.
  await t.runner.kill();
  await killAgents(t);
  await t.runner.start();
  assert.match(await within(t, job.id, LOOK), SEEN);
  using shell = await open(t, job.id, "sh", "-c", "echo ready; sleep 1000");
  await shell.shows("ready");
  const { code, stderr } = await t.runner.cli(["release", job.id]);
  assert.equal(code, 0, stderr);
  await shell.link.closed;
  await t.engine.left();
  assert.deepEqual(records(t), []);
  await assert.rejects(open(t, job.id, "true"), { code: "state_conflict" });
});

Deno.test("a command is held as a script is, also one that cannot be executed; what succeeds is not", async () => {
  await using t = await Stage.open();
  const { script: _, ...plain } = FAIL;
  const run = async (command: readonly string[]) =>
    await t.ended(await t.submit({ ...plain, command }));
  const held = await run(["/bin/sh", "-c", FAIL.script]);
  assert.match(await within(t, held.id, LOOK), SEEN);
  assert.equal((await run(["true"])).held_until, null);
  const missing = await run(["no-such-program"]);
  assert.deepEqual([missing.reason, missing.exit_code], ["exec_failed", 127]);
  assert.match(await within(t, missing.id, "echo here"), /here/);
  await t.engine.left([`cicd-job-${held.id}-1`, `cicd-job-${missing.id}-1`]);
  for (const { id } of [held, missing]) await t.curl(`/v1/jobs/${id}/cancel`, "-X", "POST");
  await t.engine.left();
});

Deno.test("the hold of a container ends in time, and with its engine", async () => {
  await using t = await Stage.open();
  await failed(t, { hold_on_failure: "1s" });
  await unrecorded(t);
  await t.engine.left();
  const lost = await failed(t);
  assert.equal(records(t).length, 1);
  await t.engine.restart();
  await unrecorded(t);
  await t.engine.left();
  assert.equal(JSON.parse(await t.curl(`/v1/jobs/${lost.id}`)).exit_code, 3);
});

Deno.test("a runner and an agent killed at any stage of a hold lose nothing, and leave nothing", async () => {
  await using t = await Stage.open();
  const isThere = (path: string) => (statIfThereSync(path)?.size ?? 0) > 0;
  const stages: readonly ((id: string) => boolean)[] = [
    (id) => isThere(`${attemptOf(t, id)}/result`),
    (id) => records(t).some((name) => name.startsWith(id)),
    (id) => isThere(`${attemptOf(t, id)}/held`),
    (id) => isThere(`${attemptOf(t, id)}/outcome.json`),
  ];
  for (const [at, isReached] of stages.entries()) {
    const id = await t.submit(FAIL);
    const signal = AbortSignal.timeout(60_000);
    while (!isReached(id)) {
      signal.throwIfAborted();
      await pause(1);
    }
    await Promise.all([killAgents(t), t.runner.kill()]);
    await t.runner.start();
    const job = await t.ended(id);
    assert.deepEqual([job.state, job.exit_code, job.attempt], ["failed", 3, 1], `stage ${at}`);
    assert.notEqual(job.held_until, null, `stage ${at}: ${job.message}`);
    assert.match(await within(t, id, LOOK), SEEN);
    // Killed while they end it.
    const released = t.runner.cli(["release", id]);
    if (at % 2 === 1) await released;
    await Promise.all([killAgents(t), t.runner.kill()]);
    await released;
    await t.runner.start();
    const again = await t.runner.cli(["release", id]);
    const { held_until } = JSON.parse(await t.curl(`/v1/jobs/${id}`));
    assert.equal(held_until, null, again.stderr);
    await unrecorded(t);
    await t.engine.left();
  }
});
