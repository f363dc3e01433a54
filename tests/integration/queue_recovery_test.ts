import assert from "node:assert/strict";
import { pause, RunnerBench } from "../support/runner_process.ts";

const ROUNDS = 10;
const JOBS_A_ROUND = 4;

interface Accepted {
  readonly key: string;
  readonly exitCode: number;
  readonly lines: number;
}

/** A job that writes down when it begins and ends, whatever the suite believes. */
function scriptOf({ key, exitCode, lines }: Accepted): string {
  return `echo "begin ${key}" >> "$LEDGER"
i=0; while [ $i -lt ${lines} ]; do echo "${key} $i"; i=$((i+1)); sleep 0.01; done
echo "end ${key}" >> "$LEDGER"
exit ${exitCode}`;
}

/** Small and repeatable: the same seed kills at the same moments. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Submits as a careful client does: with a key, again until there is an answer. */
async function submit(bench: RunnerBench, job: Accepted): Promise<string> {
  const body = {
    project: "web",
    script: scriptOf(job),
    env: { LEDGER: `${bench.directory}/ledger` },
  };
  while (true) {
    try {
      const headers = { "idempotency-key": job.key };
      const { status, body: answer } = await bench.json("POST", "/v1/jobs", { body, headers });
      if (status < 300) return answer.id;
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof SyntaxError)) throw error;
    }
    await pause(20);
  }
}

Deno.test("kill -9 of runner and agents at any moment loses no job, repeats none, truncates no log", async () => {
  await using bench = new RunnerBench();
  const next = random(20_261_122);
  const jobs = new Map<string, Accepted>();
  await bench.start();
  for (let round = 0; round < ROUNDS; round++) {
    const submitted = Promise.all(Array.from({ length: JOBS_A_ROUND }, async (_, index) => {
      const job = {
        key: `r${round}j${index}`,
        exitCode: index,
        lines: 5 + Math.floor(next() * 30),
      };
      jobs.set(await submit(bench, job), job);
    }));
    await pause(next() * 400);
    const victim = Math.floor(next() * 3);
    if (victim !== 0) { for (const pid of bench.agentPids()) Deno.kill(pid, "SIGKILL"); }
    if (victim !== 1) {
      await bench.kill();
      await bench.start();
    }
    await submitted;
  }
  assert.equal(jobs.size, ROUNDS * JOBS_A_ROUND);
  for (const [id, { key, exitCode, lines }] of jobs) {
    const { body: job } = await bench.json("GET", `/v1/jobs/${id}/wait?timeout=60s`);
    assert.equal(job.state, exitCode === 0 ? "succeeded" : "failed", `${key}: ${job.message}`);
    assert.equal(job.exit_code, exitCode, key);
    assert.equal(job.attempt, 1, key);
    const log = await (await bench.ask("GET", `/v1/jobs/${id}/logs`)).text();
    assert.equal(log, Array.from({ length: lines }, (_, line) => `${key} ${line}\n`).join(""));
  }
  const ledger = (await Deno.readTextFile(`${bench.directory}/ledger`)).trim().split("\n").sort();
  const wanted = [...jobs.values()].flatMap(({ key }) => [`begin ${key}`, `end ${key}`]).sort();
  assert.deepEqual(ledger, wanted);
  const { body: list } = await bench.json("GET", "/v1/jobs?limit=500");
  assert.equal(list.jobs.length, jobs.size);
});

Deno.test("jobs that wait survive kill -9 and start in their order", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  await bench.json("POST", "/v1/queue/pause");
  const ids: string[] = [];
  for (let count = 0; count < 5; count++) {
    const { body } = await bench.json("POST", "/v1/jobs", {
      body: {
        project: "web",
        script: `echo ${count} >> "${bench.directory}/order"`,
        concurrency_group: "one",
      },
    });
    ids.push(body.id);
  }
  await bench.kill();
  await bench.start();
  assert.equal((await bench.json("GET", "/v1/status")).body.mode, "paused");
  assert.equal((await bench.json("GET", "/v1/status")).body.queued, 5);
  await bench.json("POST", "/v1/queue/resume");
  for (const id of ids) {
    const { body } = await bench.json("GET", `/v1/jobs/${id}/wait?timeout=60s`);
    assert.equal(body.state, "succeeded");
  }
  assert.equal(await Deno.readTextFile(`${bench.directory}/order`), "0\n1\n2\n3\n4\n");
});

Deno.test("the first answer after a start does not call a job running that ended meanwhile", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const submit = async (script: string) => {
    const { body } = await bench.json("POST", "/v1/jobs", { body: { project: "web", script } });
    while ((await bench.json("GET", `/v1/jobs/${body.id}`)).body.state !== "running") {
      await pause(20);
    }
    return body.id;
  };
  const done = `${bench.directory}/done`;
  const ended = await submit(`while [ ! -e ${done} ]; do sleep 0.05; done; exec true`);
  const alive = await submit("sleep 600");
  const agents = bench.agentPids();
  await bench.kill();
  for (const pid of agents) Deno.kill(pid, "SIGKILL");
  await Deno.writeTextFile(done, "");
  const record = `${bench.stateDir}/projects/web/jobs/${ended}/1/result`;
  while (!await Deno.stat(record).then(() => true, () => false)) await pause(20);
  await bench.start();
  const states = (await bench.json("GET", "/v1/jobs")).body.jobs.map((
    job: { readonly id: string; readonly state: string },
  ) => [job.id, job.state]);
  assert.deepEqual(states, [[alive, "running"], [ended, "succeeded"]]);
  await bench.json("POST", `/v1/jobs/${alive}/cancel`);
  await bench.json("GET", `/v1/jobs/${alive}/wait?timeout=60s`);
});

Deno.test("a queue that an older release wrote is read and run, though its jobs lack newer fields", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  await bench.json("POST", "/v1/queue/pause");
  const { body: job } = await bench.json("POST", "/v1/jobs", {
    body: { project: "web", script: "echo ran", labels: { a: "b" } },
  });
  await bench.kill("SIGTERM");
  {
    const { DatabaseSync } = await import("node:sqlite");
    using db = new DatabaseSync(`${bench.stateDir}/runner.db`);
    const row = db.prepare("SELECT spec FROM jobs WHERE id = ?").get(job.id);
    // Of another age: it lacks every field that has a default, and has one that went.
    const { retries: _r, output: _o, labels: _l, cancelInProgress: _c, secretNames: _s, ...spec } =
      JSON.parse(String(row?.["spec"]));
    db.prepare("UPDATE jobs SET spec = ? WHERE id = ?")
      .run(JSON.stringify({ ...spec, gone: true }), job.id);
  }
  await bench.start();
  await bench.json("POST", "/v1/queue/resume");
  const { body: ended } = await bench.json("GET", `/v1/jobs/${job.id}/wait?timeout=60s`);
  assert.equal(ended.state, "succeeded", ended.message);
  assert.deepEqual([ended.spec.output, ended.spec.labels], ["merged", {}]);
  assert.equal(await (await bench.ask("GET", `/v1/jobs/${job.id}/logs`)).text(), "ran\n");
  const attempt = `${bench.stateDir}/projects/web/jobs/${job.id}/1/attempt.json`;
  assert.equal(JSON.parse(await Deno.readTextFile(attempt)).gone, true, "it is kept");
});
