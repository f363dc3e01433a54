import assert from "node:assert/strict";
import { dialWebSocket } from "@lib/foundations/http/web_socket_client.ts";
import { existsSync, filesIn } from "@lib/foundations/files/records.ts";
import { isAlive, pause, RunnerBench } from "../support/runner_process.ts";

const CONFIG = "executor: direct\nagents: child\n";

async function bench(): Promise<RunnerBench> {
  const t = new RunnerBench({ config: CONFIG, idleExit: "60s" });
  await t.start();
  return t;
}

/** Runs a job that leaves a file, and fails. */
async function failed(t: RunnerBench, more: Readonly<Record<string, unknown>> = {}) {
  const { body } = await t.json("POST", "/v1/jobs", {
    body: {
      project: "web",
      command: ["sh", "-c", "echo found >mark; exit 3"],
      secrets: { TOKEN: "never-shown" },
      hold_on_failure: "1h",
      ...more,
    },
  });
  const ended = await t.json("GET", `/v1/jobs/${body.id}/wait?timeout=30s`);
  assert.equal(ended.body.state, "failed", JSON.stringify(ended.body));
  return ended.body;
}

/** Runs a command in the place of a job, and returns what it shows. */
async function within(t: RunnerBench, id: string, script: string): Promise<string> {
  const query = new URLSearchParams([["command", "sh"], ["command", "-c"], ["command", script]]);
  using link = await dialWebSocket({
    at: { socketPath: t.socket },
    path: `/v1/jobs/${id}/terminal?${query}`,
    maxReceiveBytes: 1_000_000,
  }, AbortSignal.timeout(60_000));
  let text = "";
  link.listen((message) => {
    if (typeof message !== "string") text += new TextDecoder().decode(message);
  });
  await link.closed;
  return text;
}

async function until(what: string, isThere: () => boolean): Promise<void> {
  for (let tries = 0; !isThere(); tries++) {
    if (tries > 600) throw new Error(`${what} does not come`);
    await pause(50);
  }
}

function places(t: RunnerBench): readonly string[] {
  const workspaces = `${t.stateDir}/projects/web/workspaces`;
  return existsSync(workspaces) ? [...Deno.readDirSync(workspaces)].map(({ name }) => name) : [];
}

const LOOK = 'cat mark; echo "$CICD_JOB_ID [$TOKEN]"';

Deno.test("a failed job is held, entered, and released; nothing of it is left", async () => {
  await using t = await bench();
  const job = await failed(t);
  assert.equal(job.exit_code, 3);
  const ahead = Date.parse(job.held_until) - Date.parse(job.finished_at);
  assert.ok(ahead >= 3_590_000 && ahead < 3_700_000, `${job.held_until} ${job.finished_at}`);
  assert.match(await within(t, job.id, LOOK), new RegExp(`found\r\n${job.id} \\[\\]`));
  // Its slot is free: another job runs beside it, elsewhere.
  const next = await failed(t, { hold_on_failure: 0 });
  assert.equal(next.held_until, null);
  await until("the removal of the other place", () => places(t).length <= 1);
  assert.deepEqual(places(t), ["1"]);
  const { code, stdout } = await t.cli(["show", job.id]);
  assert.equal(code, 0);
  assert.match(stdout, /held until +\d{4}-.*attach/);
  assert.match((await t.cli(["jobs"])).stdout, /exit code 3, held|exit 3, held/);

  const shell = within(t, job.id, "echo ready; sleep 1000");
  await until("the terminal", () => existsSync(`${t.directory}/run/terminals/web`));
  const released = await t.cli(["release", job.id]);
  assert.equal(released.code, 0, released.stderr);
  await shell;
  assert.deepEqual(places(t).filter((name) => !name.startsWith(".")), []);
  assert.deepEqual(filesIn(`${t.stateDir}/projects/web/holds`), []);
  const { body: after } = await t.json("GET", `/v1/jobs/${job.id}`);
  assert.deepEqual([after.state, after.held_until], ["failed", null]);
  await assert.rejects(within(t, job.id, "true"), { code: "state_conflict" });
  const again = await t.json("POST", `/v1/jobs/${job.id}/release`);
  assert.equal(again.status, 409);
});

Deno.test("a hold survives a killed agent and a killed runner; a cancel ends it, the result stays", async () => {
  await using t = await bench();
  const job = await failed(t);
  await t.kill();
  for (const pid of t.agentPids()) Deno.kill(pid, "SIGKILL");
  await t.start();
  const { body } = await t.json("GET", `/v1/jobs/${job.id}`);
  assert.equal(body.held_until, job.held_until);
  assert.match(await within(t, job.id, LOOK), /found/);
  const { status, body: cancelled } = await t.json("POST", `/v1/jobs/${job.id}/cancel`);
  assert.deepEqual([status, cancelled.state, cancelled.held_until], [200, "failed", null]);
  await until("the end", () => places(t).every((name) => name.startsWith(".")));
  assert.equal((await t.json("POST", `/v1/jobs/${job.id}/cancel`)).status, 409);
});

Deno.test("a retry and a drain end a hold", async () => {
  await using t = await bench();
  const retried = await failed(t);
  await t.json("POST", `/v1/jobs/${retried.id}/retry`, {
    body: { secrets: { TOKEN: "never-shown" } },
  });
  const { body: second } = await t.json("GET", `/v1/jobs/${retried.id}/wait?timeout=30s`);
  await until("the first to go", () => filesIn(`${t.stateDir}/projects/web/holds`).length === 1);
  assert.deepEqual([second.attempt, second.held_until !== null], [2, true]);
  await t.json("POST", "/v1/projects/web/drain");
  await until("the second to go", () => filesIn(`${t.stateDir}/projects/web/holds`).length === 0);
  await until("its place to go", () => places(t).every((name) => name.startsWith(".")));
});

Deno.test("a hold of which another boot tells is lost, and is cleaned up", async () => {
  await using t = await bench();
  const job = await failed(t);
  await t.kill();
  for (const pid of t.agentPids()) Deno.kill(pid, "SIGKILL");
  const [name = ""] = filesIn(`${t.stateDir}/projects/web/holds`);
  const record = `${t.stateDir}/projects/web/holds/${name}`;
  const text = Deno.readTextFileSync(record);
  Deno.writeTextFileSync(record, text.replace(/"bootId":"[^"]*"/, '"bootId":"another"'));
  await t.start();
  await until("the end", () => !existsSync(record));
  await until("its place to go", () => places(t).every((each) => each.startsWith(".")));
  for (let tries = 0; tries < 200; tries++) {
    const { body } = await t.json("GET", `/v1/jobs/${job.id}`);
    if (body.held_until === null) return;
    await pause(50);
  }
  throw new Error("The job is still shown as held");
});

Deno.test("a terminal in a running job is refused where no service manager holds its limits", async () => {
  await using t = await bench();
  const { body } = await t.json("POST", "/v1/jobs", {
    body: { project: "web", command: ["sleep", "1000"] },
  });
  for (let state = ""; state !== "running";) {
    state = (await t.json("GET", `/v1/jobs/${body.id}`)).body.state;
    await pause(20);
  }
  const refused = within(t, body.id, "true");
  await assert.rejects(refused, { code: "state_conflict", message: /without systemd/ });
  await t.json("POST", `/v1/jobs/${body.id}/cancel`);
});

Deno.test("a runner and an agent killed at any stage of a hold lose nothing, and leave nothing", async () => {
  await using t = await bench();
  const attemptOf = (id: string) => `${t.stateDir}/projects/web/jobs/${id}/1`;
  const killAll = async () => {
    const agents = t.agentPids();
    await t.kill();
    for (const pid of agents) if (isAlive(pid)) Deno.kill(pid, "SIGKILL");
  };
  const stages: readonly ((id: string) => boolean)[] = [
    (id) => existsSync(`${attemptOf(id)}/result`),
    (id) => filesIn(`${t.stateDir}/projects/web/holds`).some((name) => name.startsWith(id)),
    (id) => existsSync(`${attemptOf(id)}/outcome.json`),
  ];
  for (const [at, isReached] of stages.entries()) {
    const command = ["sh", "-c", "echo found >mark; exit 3"];
    const { body: { id } } = await t.json("POST", "/v1/jobs", {
      body: { project: "web", command, hold_on_failure: "1h" },
    });
    for (const signal = AbortSignal.timeout(60_000); !isReached(id);) {
      signal.throwIfAborted();
      await pause(1);
    }
    await killAll();
    await t.start();
    const { body: job } = await t.json("GET", `/v1/jobs/${id}/wait?timeout=60s`);
    assert.deepEqual([job.state, job.exit_code, job.attempt], ["failed", 3, 1], `stage ${at}`);
    assert.notEqual(job.held_until, null, `stage ${at}: ${job.message}`);
    assert.match(await within(t, id, "cat mark"), /found/);
    // Killed while they end it.
    const released = t.cli(["release", id]);
    if (at % 2 === 1) await released;
    await killAll();
    await released;
    await t.start();
    const again = await t.cli(["release", id]);
    const { body: after } = await t.json("GET", `/v1/jobs/${id}`);
    assert.equal(after.held_until, null, again.stderr);
    await until("the hold to go", () => filesIn(`${t.stateDir}/projects/web/holds`).length === 0);
    await until("its place to go", () => places(t).every((name) => name.startsWith(".")));
  }
});
