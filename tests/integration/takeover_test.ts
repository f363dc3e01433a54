import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { freePort, startEmptyEngine } from "../support/gryt_runner.ts";
import { type Before, restoreBefore } from "../support/release_before.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

/** The history is kept however old it is when this is run. */
const CONFIG = "retention:\n  max_age: 3650d\n  min_free_disk: 0\n";

interface Takeover extends AsyncDisposable {
  readonly bench: RunnerBench;
  readonly before: Before;
  readonly job: (name: string) => Promise<Record<string, unknown>>;
  readonly log: (name: string) => Promise<string>;
}

/** Starts the runner of this tree on what the release before left. */
async function takeOver(
  { config = "", args = [] }: { readonly config?: string; readonly args?: readonly string[] } = {},
): Promise<Takeover> {
  const bench = new RunnerBench({ config: `${CONFIG}${config}` });
  const before = restoreBefore(bench.stateDir);
  const idOf = (name: string) => {
    const job = before.jobs[name];
    assert(job !== undefined, name);
    return job.id;
  };
  await bench.start(["--executor=direct", "--agents=child", ...args]);
  return {
    bench,
    before,
    job: async (name) => (await bench.json("GET", `/v1/jobs/${idOf(name)}/wait?timeout=60s`)).body,
    log: async (name) => await (await bench.ask("GET", `/v1/jobs/${idOf(name)}/logs`)).text(),
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

/** Returns the fields of an answer that the release before gave too, down to the last one. */
function likeBefore(now: unknown, before: unknown): unknown {
  if (Array.isArray(before) && Array.isArray(now)) {
    return now.map((part, index) => likeBefore(part, before[index]));
  }
  if (!isObject(before) || !isObject(now)) return now;
  return Object.fromEntries(
    Object.entries(now)
      .filter(([name]) => name in before)
      .map(([name, value]) => [name, likeBefore(value, before[name])]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

Deno.test("takeover: ended and queued jobs are shown as the release before showed them", async () => {
  await using t = await takeOver();
  for (const [name, { id, view, log }] of Object.entries(t.before.jobs)) {
    // The two that were at work are settled now.
    if (view["state"] === "running") continue;
    const { status, body } = await t.bench.json("GET", `/v1/jobs/${id}`);
    assert.equal(status, 200, name);
    assert.deepEqual(likeBefore(body, view), view, name);
    assert.equal(await t.log(name), log, name);
  }
  const { body: list } = await t.bench.json("GET", "/v1/jobs?limit=100");
  assert.equal(list.jobs.length, Object.keys(t.before.jobs).length);
  const kept = await t.bench.ask("GET", `/v1/jobs/${t.before.jobs["done"]?.id}/artifacts/kept.txt`);
  assert.equal(await kept.text(), "kept\n");
});

Deno.test("takeover: jobs of the release before are found by their labels", async () => {
  await using t = await takeOver();
  const { body } = await t.bench.json("GET", "/v1/jobs?label=team%3Dcore&limit=100");
  const found = body.jobs.map(({ id }: { id: string }) => id);
  const labelled = Object.values(t.before.jobs).filter(({ view }) =>
    JSON.stringify(view["spec"]).includes('"labels":{"team":"core"}')
  );
  assert(labelled.length > 0);
  assert.deepEqual(found.sort(), labelled.map(({ id }) => id).sort());
});

Deno.test("takeover: ended jobs lose their secrets, and their logs stay masked", async () => {
  await using t = await takeOver();
  using db = new DatabaseSync(`${t.bench.stateDir}/runner.db`, { readOnly: true });
  const count = db.prepare(
    "SELECT count(*) AS n FROM jobs WHERE sealed_secrets IS NOT NULL AND finished_at IS NOT NULL",
  );
  const deadline = Date.now() + 20_000;
  while (count.get()?.["n"] !== 0 && Date.now() < deadline) await pause(50);
  assert.equal(count.get()?.["n"], 0);
  assert.equal(await t.log("done"), t.before.jobs["done"]?.log);
  const directory = `${t.bench.stateDir}/projects/web/jobs/${t.before.jobs["done"]?.id}/1`;
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
  assert.ok(names.includes("stdout.log"));
  assert.ok(!names.includes("secrets.sealed"));
  assert.ok(!Deno.readTextFileSync(`${directory}/stdout.log`).includes(t.before.secret));
});

Deno.test("takeover: queued jobs wait for their paused project, then run and succeed", async () => {
  await using t = await takeOver();
  const { body: project } = await t.bench.json("GET", "/v1/projects/web");
  assert.equal(project.mode, "paused");
  await t.bench.json("POST", "/v1/projects/web/resume");
  for (const name of ["plain", "secret", "rich"]) {
    const job = await t.job(name);
    assert.equal(job["state"], "succeeded", `${name}: ${job["message"]}`);
    assert.equal(job["exit_code"], 0, name);
  }
  assert.equal(await t.log("plain"), "in web\n");
  // The script compares the secret with its plain text: it has reached the job, and is masked.
  assert.equal(await t.log("secret"), `is ${"*".repeat(t.before.secret.length)}\n`);
  assert.match(await t.log("rich"), /^(\[setup\] .*\n)+from a file\nhello\n/);
  const { id } = t.before.jobs["rich"] ?? {};
  const kept = await t.bench.ask("GET", `/v1/jobs/${id}/artifacts/out.txt`);
  assert.equal(await kept.text(), "kept\n");
  // A container is not for today's machine; its job is still to be had in full.
  assert.equal(
    (await t.bench.json("GET", `/v1/jobs/${t.before.jobs["box"]?.id}`)).body.state,
    "queued",
  );
});

Deno.test("takeover: attempts at work are settled by what they left, with their logs", async () => {
  await using t = await takeOver();
  const unseen = await t.job("unseen");
  assert.deepEqual([unseen["state"], unseen["exit_code"]], ["failed", 4]);
  assert.equal(await t.log("unseen"), "begun\nover\n");
  const cut = await t.job("cut");
  assert.deepEqual([cut["state"], cut["exit_code"]], ["lost", null]);
  assert.equal(await t.log("cut"), `begun ${"*".repeat(t.before.secret.length)}\n`);
});

Deno.test("takeover: an API key of the release before opens the API within its rights", async () => {
  const port = freePort();
  await using t = await takeOver({ args: [`--listen-address=${port}`] });
  const ask = async (method: string, path: string, key: string) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const body = method === "POST" ? { body: "{}" } : {};
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers, ...body });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await ask("GET", "/v1/status", t.before.apiKey), 200);
  assert.equal(await ask("POST", "/v1/jobs", t.before.apiKey), 422);
  assert.equal(await ask("POST", "/v1/keys", t.before.apiKey), 403);
  assert.equal(await ask("GET", "/v1/status", `${t.before.apiKey.slice(0, -2)}AA`), 401);
});

Deno.test("takeover: jobs that came through Gryt's API are counted and run to their verdict", async () => {
  await using engine = await startEmptyEngine();
  const keyFile = await Deno.makeTempFile();
  await Deno.writeTextFile(keyFile, "the-pre-shared-key");
  try {
    await using t = await takeOver({
      config: `containers:\n  host: unix://${engine.path}\ngryt:\n  api_key: file:${keyFile}\n`,
    });
    const failures = async () => {
      const text = await (await t.bench.ask("GET", "/metrics")).text();
      return /^cicd_gryt_jobs_total\{result="failure"\} (\d+)$/m.exec(text)?.[1];
    };
    assert.equal(await failures(), "1");
    await t.bench.json("POST", "/v1/projects/gryt/resume");
    const job = await t.job("gryt_queued");
    assert.deepEqual([job["state"], job["reason"]], ["failed", "image_unavailable"]);
    const deadline = Date.now() + 10_000;
    while (await failures() !== "2" && Date.now() < deadline) await pause(50);
    assert.equal(await failures(), "2");
  } finally {
    await Deno.remove(keyFile);
  }
});
