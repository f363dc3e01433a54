import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { AgentClient, type AgentHost } from "@lib/spine/agent_link/agent_client.ts";
import { agentHandler, type AttemptPort } from "@lib/spine/agent_link/agent_server.ts";
import { SIGN_OF_LIFE_MS } from "@lib/spine/agent_link/protocol.ts";
import { CicdError } from "@lib/core/errors.ts";
import { systemClock } from "@lib/core/clock.ts";
import { toProblem } from "@lib/foundations/http/problem.ts";
import { startHttpServer } from "@lib/foundations/http/server.ts";
import type { AttemptOutcome, CancelRequest, Job } from "@lib/spine/jobs/model.ts";
import { FakeExecutor, FakeMachine } from "../support/fake_executor.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { makeJob, makeOutcome, makeSpec, projectName } from "../support/job_fixtures.ts";
import { RecordingLogger } from "../support/recording_logger.ts";

/** The response of the agent of a test. */
type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A runner's link to an agent whose answers are written down beforehand. */
class Bench implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "agent-link-" });
  readonly requests: string[] = [];
  readonly bodies: unknown[] = [];
  readonly waiting: (string | undefined)[] = [];
  readonly doing: (string | undefined)[] = [];
  readonly commits: string[] = [];
  readonly log = new RecordingLogger();
  readonly stop = new AbortController();
  readonly link: AgentClient;
  starts = 0;
  /** Thrown instead of starting the agent. */
  missing: CicdError | undefined;
  /** Why the agent does not run, as the service manager has it. */
  fault: string | undefined;
  maxAgents = 1;
  /** The outcome of an attempt that the agent refused. */
  refused: AttemptOutcome | undefined;
  /** Runs the attempts without the agent. */
  machine = new FakeMachine();
  #server: Server | undefined;
  readonly #answers: Answer[];

  constructor(...answers: Answer[]) {
    this.#answers = answers;
    const host: AgentHost = {
      kind: "child",
      socketPath: () => this.socketPath,
      ensureListening: () =>
        this.missing === undefined ? this.#listen() : Promise.reject(this.missing),
      faultOf: () => Promise.resolve(this.fault),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    this.link = new AgentClient({
      host,
      secretsOf: () => ({ TOKEN: "a-long-secret" }),
      maskOf: () => Promise.resolve((text) => text.replaceAll("a-long-secret", "***")),
      bootIdOf: () => "boot-1",
      executorOf: () => Promise.resolve(new FakeExecutor(this.machine)),
      configStamp: () => "stamp-1",
      maxAgents: () => this.maxAgents,
      agentIdleExitMs: () => 0,
      stateDir: this.directory,
      clock: systemClock,
      log: this.log,
    });
  }

  get socketPath(): string {
    return `${this.directory}/agent.sock`;
  }

  run(job: Job, onStarted = () => {}): Promise<AttemptOutcome> {
    return this.link.run(job, {
      onStarted,
      onCommit: (commit) => this.commits.push(commit),
      onWaiting: (reason) => this.waiting.push(reason),
      onDoing: (doing) => this.doing.push(doing),
      onRefused: () => this.refused,
      signal: this.stop.signal,
    });
  }

  #listen(): Promise<void> {
    this.starts++;
    const server = createServer((request, response) => {
      this.requests.push(`${request.method} ${request.url}`);
      let body = "";
      request.on("data", (chunk) => body += chunk);
      request.on("end", () => {
        this.bodies.push(body === "" ? undefined : JSON.parse(body));
        const answer = this.#answers.shift();
        if (answer === undefined) response.destroy();
        else answer(request, response);
      });
    });
    this.#server = server;
    return new Promise((resolve) => server.listen({ path: this.socketPath }, resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort(new Error("the test is over"));
    this.link[Symbol.dispose]();
    this.#server?.closeAllConnections();
    this.#server?.close();
    await Deno.remove(this.directory, { recursive: true });
  }
}

const job = makeJob({ state: "starting", attempt: 1 });
const path = `/attempts/${job.id}/1`;
const alive = `${JSON.stringify({ kind: "alive" })}\n`;
const ended = `${JSON.stringify({ kind: "ended", outcome: makeOutcome({ exitCode: 3 }) })}\n`;

Deno.test("run() starts the agent when nobody listens, and gives the outcome", async () => {
  let started = 0;
  await using t = new Bench((_, response) => response.end(alive + ended));
  assert.equal((await t.run(job, () => started++)).exitCode, 3);
  assert.equal(started, 1);
  assert.equal(t.starts, 1);
  assert.deepEqual(t.requests, [`PUT ${path}`]);
  assert.deepEqual(t.bodies, [{
    spec: job.spec,
    secrets: { TOKEN: "a-long-secret" },
    bootId: "boot-1",
    accepted: false,
    configStamp: "stamp-1",
  }]);
});

Deno.test("run() masks a secret in the outcome, and in the reason why it waits", async () => {
  await using t = new Bench(
    (_request, response) => {
      response.statusCode = 503;
      response.setHeader("content-type", "application/problem+json");
      response.end(JSON.stringify({ code: "agent_unavailable", detail: "no a-long-secret" }));
    },
    (_request, response) => {
      const outcome = makeOutcome({ message: "Cannot pull: a-long-secret is wrong" });
      response.end(`${JSON.stringify({ kind: "ended", outcome })}\n`);
    },
  );
  assert.equal((await t.run(job)).message, "Cannot pull: *** is wrong");
  assert.doesNotMatch(t.waiting.join(), /a-long-secret/);
});

Deno.test("run() joins the same attempt when the connection breaks in mid-answer", async () => {
  let started = 0;
  await using t = new Bench(
    (request, response) => {
      response.write(alive, () => request.socket.destroy());
    },
    (request, response) => {
      response.write(alive + ended.slice(0, 40), () => request.socket.destroy());
    },
    (_, response) => response.end(alive + ended),
  );
  assert.equal((await t.run(job, () => started++)).exitCode, 3);
  assert.deepEqual(t.requests, Array(3).fill(`PUT ${path}`));
  assert.equal(started, 1);
  // The agent never starts it again, even if it finds nothing of it.
  assert.deepEqual(t.bodies.map((body) => Object(body).accepted), [false, true, true]);
});

Deno.test("run() asks again when the agent's answer ends too early or makes no sense", async () => {
  await using t = new Bench(
    (_, response) => response.end(alive),
    (_, response) => response.end("not json\n"),
    (_, response) => response.end('{"kind":"ended"}\n'),
    (_, response) => response.writeHead(500).end("<html>"),
    (_, response) =>
      response.writeHead(503).end(JSON.stringify(toProblem("systemd_unavailable", "Away"))),
    (_, response) => response.end(ended),
  );
  assert.equal((await t.run(job)).exitCode, 3);
  assert.equal(t.requests.length, 6);
});

Deno.test("run() logs each failure, and louder when there are many", async () => {
  const fail: Answer = (_, response) => response.writeHead(500).end();
  await using t = new Bench(...Array(6).fill(fail), (_, response) => response.end(ended));
  await t.run(job);
  assert.equal(t.log.of("info").length, 5);
  assert.equal(t.log.of("warning").length, 1);
  assert.doesNotMatch(JSON.stringify(t.log.messages), /a-long-secret/);
});

Deno.test("run() reports why it waits until the agent answers, and warns once for each reason", async () => {
  const fail: Answer = (_, response) =>
    response.writeHead(503).end(JSON.stringify(toProblem("systemd_unavailable", "No bus")));
  await using t = new Bench(...Array(7).fill(fail), (_, response) => response.end(alive + ended));
  await t.run(job);
  assert.deepEqual(t.waiting, [...Array(7).fill("No bus"), undefined]);
  assert.equal(t.log.of("warning").length, 1);
});

Deno.test("run() ends an attempt whose agent is not installed, but never one that may be alive", async () => {
  await using t = new Bench((_, response) => response.end(ended));
  t.missing = new CicdError("agent_missing", "Cannot find cicd-agent: it is away");
  const outcome = await t.run(job);
  assert.deepEqual([outcome.state, outcome.reason], ["failed", "start_failed"]);
  assert.match(outcome.message, /^Cannot find cicd-agent/);
  const joined = t.run(makeJob({ ...job, state: "running" }));
  while (t.log.messages.length === 0) await systemClock.sleep(5);
  t.missing = undefined;
  assert.equal((await joined).exitCode, 3);
});

Deno.test("run() ends an attempt that the agent refuses as soon as its owner gives it up", async () => {
  const refuse: Answer = (_, response) =>
    response.writeHead(500).end(JSON.stringify(toProblem("io_failed", "Permission denied")));
  await using t = new Bench(refuse, (request, response) => {
    t.refused = makeOutcome({ state: "failed", reason: "start_failed" });
    refuse(request, response);
  });
  assert.equal((await t.run(job)).reason, "start_failed");
  assert.deepEqual(t.waiting, ["Permission denied"]);
});

Deno.test("kill() stops an attempt without its agent and gives its outcome", async () => {
  await using t = new Bench();
  const cancel: CancelRequest = { reason: "cancelled", by: "by request" };
  const cancelled = { ...job, cancel };
  const key = `${job.id}/1`;
  t.machine.found.set(key, { kind: "alive" });
  const killed = t.link.kill(cancelled, t.stop.signal);
  while (t.machine.stops.length === 0) await systemClock.sleep(1);
  t.machine.end(key, makeOutcome({ state: "cancelled", reason: "cancelled" }));
  assert.equal((await killed).state, "cancelled");
  assert.deepEqual(t.machine.stops, [{ key, why: cancel }]);
  t.machine.found.clear();
  const never = await t.link.kill(cancelled, t.stop.signal);
  assert.deepEqual([never.state, never.message], [
    "cancelled",
    "Cancelled by request before the start",
  ]);
  assert.deepEqual(t.requests, []);
});

Deno.test("run() rejects with its signal's reason, whatever it waits for", async () => {
  await using t = new Bench((_, response) => void response.write(alive));
  const running = Promise.withResolvers<void>();
  const outcome = t.run(job, running.resolve);
  await running.promise;
  t.stop.abort(new Error("the runner ends"));
  await assert.rejects(outcome, /the runner ends/);
});

Deno.test("stop() asks until the agent has taken it", async () => {
  const cancel: CancelRequest = { reason: "cancelled", by: "by request" };
  await using t = new Bench(
    (_, response) =>
      response.writeHead(404).end(JSON.stringify(toProblem("not_found", "Not given it yet"))),
    (request) => request.socket.destroy(),
    (_, response) => response.writeHead(202).end(),
  );
  await t.link.stop({ ...job, cancel }, t.stop.signal);
  assert.deepEqual(t.requests, Array(3).fill(`POST ${path}/stop`));
  assert.deepEqual(t.bodies, Array(3).fill(cancel));
});

Deno.test("run() names a silent agent with the reason of the service manager, until it answers", async () => {
  await using t = new Bench(async (_, response) => {
    while (t.waiting.length === 0) await systemClock.sleep(5);
    assert.deepEqual(
      t.link.problems().map(({ project, reason }) => ({ project, reason })),
      [{ project: job.spec.project, reason: t.fault }],
    );
    response.end(alive + ended);
  });
  t.fault = "cicd-agent@web.service: failed (exit-code, status 203/EXEC)";
  assert.equal((await t.run(job)).exitCode, 3);
  assert.deepEqual(t.waiting, [t.fault, undefined]);
  assert.deepEqual(t.link.problems(), []);
});

Deno.test("run() waits once, with a reason, for all idle agents that are asked to exit", async () => {
  const silent: Answer = () => {};
  const done: Answer = (_, response) => response.end(alive + ended);
  await using t = new Bench(done, done, done, silent, silent, silent, done);
  t.maxAgents = 3;
  const jobOf = (name: string) =>
    makeJob({ state: "starting", attempt: 1, spec: makeSpec({ project: projectName(name) }) });
  for (const name of ["a", "b", "c"]) await t.run(jobOf(name));
  t.maxAgents = 1;
  t.waiting.length = 0;
  await t.run(jobOf("d"));
  assert.match(t.waiting[0] ?? "", /^idle ones must exit first .*: a, b, c$/);
  assert.equal(t.waiting.at(-1), undefined);
  assert.deepEqual(t.link.problems().map(({ project }) => String(project)).sort(), ["a", "b", "c"]);
});

Deno.test("status() gives up on a silent agent in time, and names it", async () => {
  const done: Answer = (_, response) => response.end(alive + ended);
  await using t = new Bench(done, () => {}, () => {});
  await t.run(job);
  const { project } = job.spec;
  await Promise.all([t.link.status(project, t.stop.signal), t.link.status(project, t.stop.signal)]);
  assert.match(t.link.problems()[0]?.reason ?? "", /Cannot wait longer for the agent of/);
});

Deno.test("status() starts no agent", async () => {
  await using t = new Bench();
  assert.equal(await t.link.status(projectName(), t.stop.signal), undefined);
  assert.equal(t.starts, 0);
});

Deno.test("reload() reaches agents that run, starts none, and logs the reason of a refusal", async () => {
  const refusal = toProblem("invalid_config", "unknown key");
  await using t = new Bench(
    (_, response) => response.end(alive + ended),
    (_, response) => response.writeHead(204).end(),
    (_, response) => response.writeHead(500).end(JSON.stringify(refusal)),
  );
  await t.link.reload([projectName()], t.stop.signal);
  assert.equal(t.starts, 0);
  await t.run(job);
  await t.link.reload([projectName()], t.stop.signal);
  assert.deepEqual(t.log.of("warning"), []);
  await t.link.reload([projectName()], t.stop.signal);
  assert.deepEqual(t.requests.slice(1), ["POST /reload", "POST /reload"]);
  assert.match(JSON.stringify(t.log.messages), /Cannot reload an agent's configuration/);
});

Deno.test("run() asks an idle agent of another project to exit, beyond the limit only", async () => {
  await using t = new Bench(
    (_, response) => response.end(alive + ended),
    (_, response) => response.end(alive + ended),
    (_, response) => response.writeHead(202).end(),
    (_, response) => response.end(alive + ended),
  );
  await t.run(job);
  await t.run(job);
  const other = makeJob({
    state: "starting",
    attempt: 1,
    spec: makeSpec({ project: projectName("other") }),
  });
  await t.run(other);
  assert.deepEqual(t.requests, [
    `PUT ${path}`,
    `PUT ${path}`,
    "POST /exit",
    `PUT /attempts/${other.id}/1`,
  ]);
});

Deno.test("run() reports the commit that an attempt has checked out", async () => {
  const commit = "a".repeat(40);
  const line = (value: unknown) => `${JSON.stringify(value)}\n`;
  await using t = new Bench((_, response) =>
    response.end(
      alive + line({ kind: "alive", commit }) +
        line({ kind: "ended", outcome: makeOutcome({ commit }) }),
    )
  );
  assert.equal((await t.run(job)).commit, commit);
  assert.deepEqual(t.commits, [commit]);
});

/** An agent's server over a port that the test plays. */
async function serve(port: Partial<AttemptPort>, reload = () => Promise.resolve()) {
  const directory = await Deno.makeTempDir({ prefix: "agent-link-" });
  const clock = new FakeClock();
  const errors: unknown[] = [];
  const socketPath = `${directory}/agent.sock`;
  const server = await startHttpServer({
    listeners: [{ kind: "unix", path: socketPath }],
    limits: { maxConnections: 8, maxHeaderBytes: 16_384, headerTimeoutMs: 10_000 },
    handle: agentHandler({
      project: projectName(),
      attempts: {
        begin: () => Promise.resolve(),
        ended: () => new Promise(() => {}),
        commit: () => Promise.resolve(undefined),
        stop: () => Promise.resolve(false),
        releaseHold: () => Promise.resolve(false),
        doing: () => undefined,
        onProgress: () => ({ [Symbol.dispose]() {} }),
        ...port,
      },
      status: () => Promise.reject(new Error("not asked here")),
      reload,
      exit: () => {
        throw new CicdError("state_conflict", "It has attempts");
      },
      clock,
      maxBodyBytes: 1_000_000,
      onError: (error) => errors.push(error),
    }),
    keepFromChildren() {},
    onError: (_, error) => errors.push(error),
  });
  const http = Deno.createHttpClient({ proxy: { transport: "unix", path: socketPath } });
  return {
    clock,
    errors,
    ask: (method: string, path: string, body: unknown) =>
      fetch(`http://localhost${path}`, { method, body: JSON.stringify(body), client: http }),
    async [Symbol.asyncDispose]() {
      http.close();
      await server[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

const order = { spec: job.spec, secrets: {}, bootId: "boot-1" };

Deno.test("PUT shows signs of life until the end of the attempt", async () => {
  const end = Promise.withResolvers<AttemptOutcome>();
  await using t = await serve({ ended: () => end.promise });
  const response = await t.ask("PUT", path, order);
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader.read()).value, alive);
  const second = reader.read();
  while (t.clock.sleeping === 0) await t.clock.tick(0);
  await t.clock.tick(SIGN_OF_LIFE_MS);
  assert.equal((await second).value, alive);
  end.resolve(makeOutcome({ exitCode: 3 }));
  assert.equal((await reader.read()).value, ended);
  assert.equal((await reader.read()).done, true);
});

Deno.test("PUT names the steps around the job as they come, and its commit", async () => {
  let doing: string | undefined = "checking out the repository";
  const commits: string[] = [];
  const listeners = new Set<() => void>();
  await using t = await serve({
    doing: () => doing,
    commit: () => Promise.resolve(commits[0]),
    onProgress(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  });
  const git = { url: "https://x/y", depth: 1, submodules: false, lfs: false, path: "." };
  const response = await t.ask("PUT", path, { ...order, spec: { ...job.spec, git } });
  const reader = (response.body ?? assert.fail()).pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await reader.read()).value ?? "", /"doing":"checking out the repository"\}/);
  const second = reader.read();
  while (t.clock.sleeping === 0) await t.clock.tick(0);
  // Progress of another attempt says nothing new.
  for (const listener of listeners) listener();
  const commit = "a".repeat(40);
  commits.push(commit);
  let line: string | undefined;
  void second.then(({ value }) => line = value);
  // A quick step between two others is not named.
  for (const next of ["a quick step", undefined]) {
    doing = next;
    for (const listener of listeners) listener();
    await t.clock.tick(1);
  }
  while (line === undefined) await t.clock.tick(1);
  assert.equal(line, `${JSON.stringify({ kind: "alive", commit })}\n`);
  await reader.cancel();
  while (listeners.size > 0) await t.clock.tick(0);
});

Deno.test("run() passes on what the agent does around the job", async () => {
  const pulling = `${JSON.stringify({ kind: "alive", doing: "getting the image" })}\n`;
  await using t = new Bench((_, response) => response.end(pulling + alive + ended));
  await t.run(job);
  assert.deepEqual(t.doing, ["getting the image", undefined]);
});

Deno.test("POST /reload answers when the configuration was read again, or with the reason", async () => {
  let reads = 0;
  await using t = await serve({}, () => {
    if (++reads === 1) return Promise.resolve();
    throw new CicdError("invalid_config", "unknown key");
  });
  assert.equal((await t.ask("POST", "/reload", {})).status, 204);
  const refused = await t.ask("POST", "/reload", {});
  assert.equal((await refused.json()).detail, "unknown key");
});

Deno.test("PUT breaks the connection when the end cannot be reported, and survives it", async () => {
  await using t = await serve({ ended: () => Promise.reject(new CicdError("io_failed", "Full")) });
  const response = await t.ask("PUT", path, order);
  await assert.rejects(response.text());
  assert.equal((await t.ask("GET", "/nope", undefined).catch(() => ({ status: 0 }))).status, 404);
});

for (
  const [name, method, where, body, status] of [
    ["an order that is none", "PUT", path, { spec: 1 }, 422],
    ["an order for another project", "PUT", path, {
      ...order,
      spec: { ...order.spec, project: "other" },
    }, 422],
    ["a stop without a reason", "POST", `${path}/stop`, {}, 422],
    ["a stop of what it was not given", "POST", `${path}/stop`, {
      reason: "cancelled",
      by: "x",
    }, 404],
    ["an exit while it has work", "POST", "/exit", {}, 409],
    ["an unknown route", "PUT", "/attempts/x/1", order, 404],
    ["an unknown method", "DELETE", path, order, 405],
  ] as const
) {
  Deno.test(`the agent refuses ${name}`, async () => {
    await using t = await serve({});
    const response = await t.ask(method, where, body);
    assert.equal(response.status, status);
    assert.equal(response.headers.get("content-type"), "application/problem+json");
    await response.body?.cancel();
    assert.deepEqual(t.errors, []);
  });
}
