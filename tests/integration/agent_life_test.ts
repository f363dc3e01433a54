import assert from "node:assert/strict";
import { isAlive, pause, RunnerBench } from "../support/runner_process.ts";

const DEADLINE_MS = 10_000;

async function until(what: string, reached: () => boolean): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!reached()) {
    assert(Date.now() < deadline, `no ${what} within ${DEADLINE_MS} ms`);
    await pause(50);
  }
}

Deno.test("an idle agent makes room for that of another project", async () => {
  await using bench = new RunnerBench({ config: "queue: { max_agents: 1 }\n" });
  await bench.start(["--agent-idle-exit=0"]);
  for (const project of ["one", "two", "one"]) {
    assert.equal((await bench.runJob({ project, script: "true" })).state, "succeeded");
  }
  await until("end of the other agents", () => bench.agentPids().filter(isAlive).length === 1);
});

Deno.test("jobs of further projects wait while all agents have work", async () => {
  await using bench = new RunnerBench({ config: "queue: { max_agents: 1, max_running: 4 }\n" });
  await bench.start();
  const submit = async (project: string, script: string) =>
    (await bench.json("POST", "/v1/jobs", { body: { project, script } })).body.id;
  const wait = async (id: string) =>
    (await bench.json("GET", `/v1/jobs/${id}/wait?timeout=60s`)).body;
  const first = await submit("one", "sleep 1");
  const second = await submit("two", "true");
  const ends = await Promise.all([wait(first), wait(second)]);
  assert.deepEqual(ends.map(({ state }) => state), ["succeeded", "succeeded"]);
  assert(ends[1].started_at >= ends[0].finished_at, JSON.stringify(ends));
});

for (
  const [name, listen, exits] of [
    ["started by hand stays, as no job starts it again", false, false],
    ["started on demand exits when it is idle", true, true],
  ] as const
) {
  Deno.test(`an agent ${name}`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "agent-life-" });
    const socket = `${directory}/run/agents/web.sock`;
    await Deno.mkdir(`${directory}/run/agents`, { recursive: true, mode: 0o700 });
    await Deno.chmod(`${directory}/run`, 0o700);
    await using agent = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--allow-all",
        new URL("../../cmd/agent/main.ts", import.meta.url).pathname,
        "--session-id=web",
        `--state-dir=${directory}/state`,
        `--runtime-dir=${directory}/run`,
        "--agent-idle-exit=100ms",
        "--executor=direct",
        ...(listen ? [`--listen=${socket}`] : []),
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    let code: number | undefined;
    const ended = agent.status.then((status) => code = status.code);
    if (exits) await until("exit", () => code === 0);
    else {
      await until("socket", () => {
        try {
          return Deno.lstatSync(socket).isSocket === true;
        } catch {
          return false;
        }
      });
      await pause(1_500);
      assert.equal(code, undefined);
      agent.kill("SIGTERM");
    }
    await ended;
    await Deno.remove(directory, { recursive: true });
  });
}
