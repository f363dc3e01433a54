import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { isGrytResult, pipelineBase64 } from "../support/gryt_client.ts";
import { startMainApi } from "../support/gryt_main_api.ts";
import { API_KEY, freePort, startEmptyEngine, startRunner } from "../support/gryt_runner.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";

const job = { job_id: 123, pipeline_b64: pipelineBase64("print('hello')\n") };

Deno.test("a Gryt client gets the documented answers of an agent without an engine", async () => {
  await using t = await startRunner();
  assert.deepEqual(await t.client.health(), {
    status: 200,
    body: { status: "degraded", version: "0.1.0", docker_available: false },
  });
  const missing = await t.withoutKey.execute(job);
  assert.equal(missing.status, 422);
  assert.deepEqual(await t.withWrongKey.execute(job), {
    status: 401,
    body: { detail: "Invalid API key" },
  });
  const invalid = await t.client.execute({ ...job, job_id: "many" });
  assert.equal(invalid.status, 422);
  const away = await t.client.execute(job);
  assert.equal(away.status, 500);
  assert.match(String(away.body["detail"]), /container engine/);
  const token = await t.client.execute({
    ...job,
    git_url: "https://example.org/r.git",
    github_token_encrypted: "hunter2",
  });
  assert.equal(token.status, 500);
});

Deno.test("a failed Gryt job is answered with 200, called back signed, and counted", async () => {
  await using engine = await startEmptyEngine();
  await using main = await startMainApi();
  main.status = 503;
  await using t = await startRunner({
    engine: engine.path,
    gryt: `  callbacks: ["${main.url}/"]\n`,
  });
  const { status, body } = await t.client.execute({
    ...job,
    docker_image: "example.org/nothing:1",
    callback_url: `${main.url}/hook?run=1`,
  });
  assert.equal(status, 200);
  assert(isGrytResult(body), JSON.stringify(body));
  assert.equal(body.success, false);
  assert.equal(body.exit_code, -1);
  assert.equal(body.stdout, "");
  assert.equal(body.stderr, body["error"]);
  await main.count("/hook?run=1", 1);
  // The next life delivers what this one could not.
  await t.bench.kill("SIGKILL");
  main.status = 204;
  await t.bench.start();
  const [, delivered] = await main.count("/hook?run=1", 2);
  assert(delivered !== undefined);
  assert.deepEqual(JSON.parse(delivered.body), body);
  const hmac = createHmac("sha256", API_KEY).update(delivered.body).digest("hex");
  assert.equal(delivered.headers["x-signature-256"], `sha256=${hmac}`);
  const metrics = await (await t.ask("GET", "/metrics")).text();
  assert.match(metrics, /^cicd_gryt_jobs_total\{result="failure"\} 1$/m);
});

Deno.test("a callback to this machine is not made unless the configuration allows it", async () => {
  await using engine = await startEmptyEngine();
  await using main = await startMainApi();
  await using t = await startRunner({ engine: engine.path });
  const address = main.url.replace("127.0.0.1", "localhost");
  for (const [id, url] of [[1, `${main.url}/hook`], [2, `${address}/hook`]] as const) {
    const { body } = await t.client.execute({ ...job, job_id: id, callback_url: url });
    assert.equal(body.success, false);
  }
  await untilNothingIsOwed(t);
  assert.equal(main.arrived.length, 0);
});

/** Waits until every delivery was made or given up. */
async function untilNothingIsOwed(t: { readonly ask: RunnerBench["ask"] }): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!/^cicd_gryt_results_owed 0$/m.test(await (await t.ask("GET", "/metrics")).text())) {
    assert(Date.now() < deadline, "results are still owed");
    await pause(20);
  }
}

Deno.test("jobs are pulled from a main API, and their results are brought there", async () => {
  await using engine = await startEmptyEngine();
  await using main = await startMainApi();
  main.jobs.push({ ...job, job_id: "77", lease_seconds: 30 }, {
    ...job,
    job_id: 78,
    cpu_limit: "x",
  });
  await using _t = await startRunner({ engine: engine.path, gryt: `  pull_url: ${main.url}\n` });
  const [claim] = await main.count("/agents/claim", 1);
  assert.equal(claim?.headers["x-api-key"], API_KEY);
  assert(JSON.parse(claim?.body ?? "").capacity >= 1);
  for (const id of [77, 78]) {
    const [result] = await main.count(`/jobs/${id}/result`, 1);
    const body: unknown = JSON.parse(result?.body ?? "");
    assert(isGrytResult(body));
    assert.equal(body.job_id, id);
    assert.equal(body.success, false);
    assert.equal(result?.headers["x-api-key"], API_KEY);
  }
});

Deno.test("a runner distributes jobs to other agents, and runs them itself when none is available", async () => {
  await using engine = await startEmptyEngine();
  const seen: string[] = [];
  const agent = createServer((incoming, outgoing) => {
    incoming.resume();
    seen.push(`${incoming.method} ${incoming.url} ${incoming.headers["x-api-key"] ?? ""}`);
    outgoing.writeHead(200, { "content-type": "application/json" });
    outgoing.end(
      incoming.url === "/health" ? '{"status":"healthy"}' : '{"job_id":123,"success":true}',
    );
  });
  const listening = Promise.withResolvers<void>();
  agent.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  const address = agent.address();
  assert(typeof address === "object" && address !== null);
  const url = `http://127.0.0.1:${address.port}`;
  await using t = await startRunner({ engine: engine.path, gryt: `  agent_urls: ["${url}"]\n` });
  try {
    assert.deepEqual((await t.client.execute(job)).body, { job_id: 123, success: true });
    assert.deepEqual(seen, ["GET /health ", `POST /jobs/execute ${API_KEY}`]);
  } finally {
    const closed = Promise.withResolvers<void>();
    agent.close(() => closed.resolve());
    agent.closeAllConnections();
    await closed.promise;
  }
  const { body } = await t.client.execute({ ...job, job_id: 124 });
  assert.equal(body.success, false);
  assert.equal(body.job_id, 124);
});

Deno.test("AGENT_PORT opens a TCP listener, on which Gryt's routes ask for Gryt's key alone", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gryt-" });
  const port = freePort();
  const lines = [`export AGENT_API_KEY="${API_KEY}"`, `export AGENT_PORT="${port}"`];
  await Deno.writeTextFile(`${directory}/.envrc`, `${lines.join("\n")}\n`, { mode: 0o600 });
  await using bench = new RunnerBench({
    config: `containers: { host: "unix:///nowhere" }\ngryt: { env_file: ${directory}/.envrc }\n`,
  });
  await bench.start();
  const base = `http://127.0.0.1:${port}`;
  assert.equal((await (await fetch(`${base}/`)).json()).service, "Gryt CI Agent");
  assert.equal((await (await fetch(`${base}/health`)).json()).docker_available, false);
  const execute = async (key: string) => {
    const headers = { "x-api-key": key, "content-type": "application/json" };
    const body = JSON.stringify(job);
    const response = await fetch(`${base}/jobs/execute`, { method: "POST", headers, body });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await execute("wrong"), 401);
  assert.equal(await execute(API_KEY), 500);
  const other = await fetch(`${base}/v1/jobs`, { headers: { "x-api-key": API_KEY } });
  await other.body?.cancel();
  assert.equal(other.status, 401);
  await Deno.remove(directory, { recursive: true });
});
