import assert from "node:assert/strict";
import { startConsole } from "../../support/console/fake_console.ts";
import { HTML_ANSWER, type RestFault, type Script } from "../../support/console/script.ts";
import { RunnerBench } from "../../support/runner_process.ts";
import { linkConfig, linkedBench, linkKeys } from "./_bench.ts";

Deno.test("a runner connects, mends its instance's state, and registers only then", async () => {
  await using t = await linkedBench({
    keys: { region: "iad", tags: "{ env: production }" },
    prepare: (_, instance) => {
      instance.status = "ERROR";
      Object.assign(instance, { extensions: ["nodejs"] });
    },
  });
  const agent = await t.connected();
  const { console, instance } = t;
  await t.until("it is registered", ({ registration }) => registration?.state === "done");
  assert.deepEqual(console.requests.map(({ method, path, status }) => [method, path, status]), [
    ["GET", `/api/v1/instances/${instance.id}`, 200],
    ["POST", "/api/v1/instances", 201],
  ]);
  const [first] = console.gateway.upgrades;
  assert.equal(first?.get("x-instance-id"), instance.id);
  assert.equal(first?.get("authorization"), `Bearer ${console.key}`);
  assert.equal(console.instances.all.length, 1);
  assert.equal(instance.status, "RUNNING");
  assert.equal(instance.region, "iad");
  assert.deepEqual(instance.extensions, ["nodejs"]);
  await console.message(agent, "metrics");
  await console.message(agent, "event", ({ payload }) => payload["eventType"] === "CONNECT");
  const before = agent.of("heartbeat").length;
  await console.changes.until("more heartbeats", () => agent.of("heartbeat").length >= before + 3);
  assert.equal(agent.received[0]?.type, "heartbeat");
  assert.deepEqual(console.faults, []);
});

Deno.test("a runner registers an unknown name, and keeps the id that it gets over restarts", async () => {
  await using console = await startConsole();
  await using runner = new RunnerBench({
    config: "executor: direct\nagents: child\n",
    env: {
      SINDRI_CONSOLE_URL: `${console.url}//`,
      SINDRI_CONSOLE_API_KEY: console.key,
      SINDRI_INSTANCE_ID: "build-1",
      SINDRI_PROVIDER: "k8s",
      SINDRI_DISTRO: "debian",
      SINDRI_AGENT_HEARTBEAT: "0.2",
      SINDRI_AGENT_METRICS: "0.2",
      SINDRI_AGENT_TAGS: "env=production, team = platform ,none",
    },
  });
  for (let start = 1; start <= 2; start++) {
    await runner.start();
    const instance = await console.changes.until("it registers", () => console.instances.all[0]);
    const agent = await console.connected(instance);
    assert.equal(agent.instanceId, instance.id);
    assert.equal(instance.name, "build-1");
    assert.equal(instance.provider, "kubernetes");
    const exit = await runner.kill("SIGTERM");
    assert.equal(exit.code, 0);
    const closing = await console.changes.until("the end", () => agent.closing);
    assert.deepEqual(closing, { code: 1000, reason: "agent shutdown" });
  }
  const [post] = console.requests.filter(({ method }) => method === "POST");
  const body: unknown = JSON.parse(post?.body ?? "");
  assert.deepEqual(Reflect.get(Object(body), "tags"), { env: "production", team: "platform" });
  assert.equal(console.instances.all.length, 1);
  assert.deepEqual(console.faults, []);
});

const answer = (status: number): RestFault => ({ kind: "answer", status, body: "{}" });

/** Faults, as `status` names them. */
const FAULTS: Readonly<Record<string, Partial<Script>>> = {
  unauthorized: { lookup: answer(401) },
  not_found: { upgrade: answer(404) },
  refused: { lookup: answer(409) },
  rate_limited: { lookup: answer(429) },
  console_error: { lookup: answer(500) },
  not_a_console: { lookup: HTML_ANSWER },
  unreachable: { lookup: { kind: "cut" } },
  closed_at_once: { upgrade: { kind: "closeAtOnce", code: 1011, reason: "busy" } },
  unknown_instance: { upgrade: { kind: "closeAtOnce", code: 1008, reason: "Unknown instance ID" } },
  replaced: { upgrade: { kind: "closeAtOnce", code: 1001, reason: "Replaced by new connection" } },
  connecting: { upgrade: { kind: "deaf" } },
  connected: {},
};

Deno.test("status names each fault of a console, one after another, and jobs run meanwhile", async () => {
  await using stack = new AsyncDisposableStack();
  const t = stack.use(await linkedBench());
  await t.state("connected");
  const seen: string[] = [];
  for (const [state, faults] of Object.entries(FAULTS)) {
    const console = stack.use(await startConsole());
    const instance = console.instances.add("web");
    Object.assign(console.script, faults);
    t.runner.configure(linkConfig(linkKeys(console, instance)));
    Deno.kill(t.runner.pid, "SIGHUP");
    await console.changes.until("it comes", () => console.requests.length > 0);
    const status = await t.state(state);
    assert.ok(!JSON.stringify(status).includes(console.key));
    const { body } = await t.runner.json("GET", "/v1/status");
    assert.equal(body.links[0].state, state);
    assert.equal(body.links[0].is_good, state === "connected");
    if (state === "connecting") {
      const job = await t.runner.runJob({ project: "web", command: ["true"] });
      assert.equal(job.state, "succeeded");
    }
    if (state === "unauthorized") {
      const { stdout } = await t.runner.cli(["status"]);
      assert.match(stdout, /console.*unauthorized/i);
    }
    assert.deepEqual(console.faults, []);
    seen.push(state);
  }
  assert.equal(seen.length, Object.keys(FAULTS).length);
});

Deno.test("a runner works on with unusable settings of its console, and says which", async () => {
  await using runner = new RunnerBench({
    config: "executor: direct\nagents: child\n",
    env: { SINDRI_CONSOLE_URL: "http://127.0.0.1:1", SINDRI_AGENT_HEARTBEAT: "soon" },
  });
  await runner.start();
  const { body } = await runner.json("GET", "/v1/status");
  assert.equal(body.links[0].state, "misconfigured");
  assert.match(body.links[0].detail, /SINDRI_CONSOLE_API_KEY is required/);
  assert.match(body.links[0].detail, /SINDRI_AGENT_HEARTBEAT.*"soon"/);
});

Deno.test("a runner ends in time while its console hangs, wherever it hangs", async (t) => {
  const hangs: readonly Partial<Script>[] = [
    { lookup: { kind: "hang" } },
    { upgrade: { kind: "hang" } },
    { upgrade: { kind: "deaf" } },
  ];
  for (const faults of hangs) {
    await t.step(JSON.stringify(faults), async () => {
      await using bench = await linkedBench({
        prepare: ({ script }) => void Object.assign(script, faults),
      });
      const { console } = bench;
      await console.changes.until(
        "it comes",
        () =>
          "lookup" in faults ? console.requests.length > 0 : console.gateway.upgrades.length > 0,
      );
      assert.equal((await bench.runner.kill("SIGTERM")).code, 0);
    });
  }
});

Deno.test("a runner tells its console of a failed job, also of one while the link was cut", async () => {
  await using t = await linkedBench();
  const first = await t.connected();
  await t.state("connected");
  const job = await t.runner.runJob({ project: "web", command: ["false"] });
  assert.equal(job.state, "failed");
  const isOfJob = (id: unknown) => ({ payload }: { readonly payload: object }) =>
    Reflect.get(Object(Reflect.get(payload, "metadata")), "job") === id;
  await t.console.message(first, "event", isOfJob(job.id));
  t.console.script.lookup = answer(500);
  t.console.script.upgrade = answer(500);
  first.cut();
  await t.console.changes.until("the end", () => first.closing !== undefined);
  const other = await t.runner.runJob({ project: "web", command: ["false"] });
  t.console.script.upgrade = undefined;
  const second = await t.connected();
  await t.console.message(second, "event", isOfJob(other.id));
  assert.deepEqual(t.console.faults, []);
});
