import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { mountSmallDisk } from "../support/small_disk.ts";
import { pause, residentBytes, RunnerBench, type RunnerExit } from "../support/runner_process.ts";

const MIB = 1024 * 1024;
const job = { project: "web", command: ["true"] };

/** Writes bytes to a socket and gives what comes back until the other side closes. */
function raw(path: string, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    let got = "";
    socket.on("data", (chunk) => got += chunk);
    socket.on("error", (error) => got += `<${error.message}>`);
    socket.on("close", () => resolve(got));
    socket.write(bytes);
  });
}

function opened(path: string): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.on("error", () => socket.destroy());
    socket.once("connect", () => resolve(socket));
    socket.once("close", () => resolve(socket));
  });
}

Deno.test("a runner answers each bad request with its own error, and loses nothing", async (t) => {
  await using bench = new RunnerBench({ config: "http:\n  body_timeout: 1s\n" });
  await bench.start();
  const kept = await bench.runJob({ project: "web", script: "echo kept" });
  assert.equal(kept.state, "succeeded");

  const BODIES: readonly (readonly [string, unknown, number, string, RegExp])[] = [
    ["no body", "", 400, "invalid_json", /it is empty/],
    ["wrong JSON", '{"project": "web",\n "script": }', 400, "invalid_json", /line 2, column 12/],
    ["an unknown field", { ...job, timout: 1 }, 422, "invalid_request", /did you mean "timeout"/],
    ["a project with a slash", { ...job, project: "a/b" }, 422, "invalid_request", /project/],
    ["a project with ..", { ...job, project: "a..b" }, 422, "invalid_request", /'\.\.'/],
    ["a project with a newline", { ...job, project: "a\n" }, 422, "invalid_request", /project/],
    ["a long project", { ...job, project: "a".repeat(300) }, 422, "invalid_request", /300/],
    ["a project like a flag", { ...job, project: "-a" }, 422, "invalid_request", /dash/],
    ["NUL in a variable", { ...job, env: { A: "\0" } }, 422, "invalid_request", /env\.A .*NUL/],
    [
      "a huge argument",
      { ...job, command: ["echo", "x".repeat(200_000)] },
      422,
      "invalid_request",
      /kernel/,
    ],
    [
      "a script of 10 MB",
      { project: "web", script: "x".repeat(10 * MIB) },
      422,
      "invalid_request",
      /at most 1M/,
    ],
    [
      "a body of 13 MB",
      { project: "web", script: "x".repeat(13 * MIB) },
      413,
      "body_too_large",
      /12M/,
    ],
    ["a negative timeout", { ...job, timeout: -1 }, 422, "invalid_request", /cannot be negative/],
  ];
  for (const [name, body, status, code, message] of BODIES) {
    await t.step(name, async () => {
      const response = await bench.ask("POST", "/v1/jobs", { body });
      const problem = await response.json();
      assert.equal(response.status, status);
      assert.equal(problem.code, code);
      assert.match(problem.detail, message);
    });
  }

  await t.step("a body that never ends", async () => {
    const head =
      "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";
    assert.match(await raw(bench.socket, head), /^HTTP\/1\.1 408 [^]*request_timeout/);
  });
  await t.step("a body that goes on after its refusal is not read as a request", async () => {
    const head = `POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: ${99 * MIB}\r\n\r\n`;
    const got = await raw(bench.socket, `${head}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.match(got, /^HTTP\/1\.1 413 /);
    assert.equal(got.match(/HTTP\/1\.1/g)?.length, 1);
  });
  await t.step("a huge header", async () => {
    const got = await raw(
      bench.socket,
      `GET / HTTP/1.1\r\nHost: x\r\nX: ${"y".repeat(70_000)}\r\n\r\n`,
    );
    assert.match(got, /^HTTP\/1\.1 431 [^]*header_too_large/);
  });
  await t.step("a request that is not HTTP", async () => {
    assert.match(await raw(bench.socket, "\x16\x03\x01 hello\r\n\r\n"), /400 [^]*invalid_http/);
  });
  await t.step("an invalid host", async () => {
    assert.match(
      await raw(bench.socket, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
      /400 [^]*invalid_http/,
    );
  });
  await t.step("an unknown route and an unknown method", async () => {
    assert.equal((await bench.json("GET", "/v2/jobs")).body.code, "not_found");
    assert.equal((await bench.json("PUT", "/v1/jobs")).body.code, "method_not_allowed");
  });
  await t.step("a request of a web page", async () => {
    const headers = { origin: "https://evil.example" };
    const { status, body } = await bench.json("POST", "/v1/jobs", { body: job, headers });
    assert.equal(status, 403);
    assert.equal(body.code, "cross_origin");
  });

  const { body: list } = await bench.json("GET", "/v1/jobs");
  assert.deepEqual(list.jobs.map(({ id }: { id: string }) => id), [kept.id]);
  assert.equal(await (await bench.ask("GET", `/v1/jobs/${kept.id}/logs`)).text(), "kept\n");
});

Deno.test("a runner with 10,000 connections refuses those beyond its limit and serves the others", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const held: Socket[] = [];
  try {
    const before = residentBytes(bench.pid);
    // One connection that was there before goes on being served.
    const kept = await opened(bench.socket);
    let answers = "";
    kept.on("data", (chunk) => answers += chunk);
    for (let batch = 0; batch < 100; batch++) {
      held.push(...await Promise.all(Array.from({ length: 100 }, () => opened(bench.socket))));
    }
    kept.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    while (!answers.endsWith("ok\n\r\n0\r\n\r\n") && !kept.destroyed) await pause(10);
    assert.match(answers, /^HTTP\/1\.1 200 /);
    kept.destroy();
    assert(residentBytes(bench.pid) - before < 150 * MIB, "memory grew with the connections");
  } finally {
    for (const socket of held) socket.destroy();
  }
  let refused = 0;
  while ((await bench.ask("GET", "/healthz").catch(() => ({ ok: false }))).ok === false) {
    refused++;
    await pause(20);
  }
  assert.equal((await bench.runJob(job)).state, "succeeded", `after ${refused} refusals`);
});

Deno.test("a refused connection gets a 503, and what it asked for does not happen", async () => {
  await using bench = new RunnerBench({ config: "http:\n  max_connections: 4\n" });
  await bench.start();
  const body = JSON.stringify(job);
  const request =
    `POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const held: Socket[] = [];
  let got = "";
  while (!got.startsWith("HTTP/1.1 503")) {
    held.push(await opened(bench.socket));
    if (held.length > 3) got = await raw(bench.socket, request);
  }
  assert.match(got, /Retry-After: 1[^]*too_many_connections/);
  for (const socket of held) socket.destroy();
  let jobs: unknown;
  while (jobs === undefined) {
    const answer = await bench.json("GET", "/v1/jobs");
    if (answer.status === 200) jobs = answer.body.jobs;
  }
  assert.deepEqual(jobs, []);
});

Deno.test("a follower that does not read costs no memory while the job prints 50 MB", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  const { body: made } = await bench.json("POST", "/v1/jobs", {
    body: { project: "web", script: "yes 0123456789abcdef0123456789abcde | head -c 50000000" },
  });
  const slow = await opened(bench.socket);
  slow.pause();
  slow.write(`GET /v1/jobs/${made.id}/logs?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n`);
  const before = residentBytes(bench.pid);
  let most = before;
  let state = "";
  while (state !== "succeeded") {
    state = (await bench.json("GET", `/v1/jobs/${made.id}/wait?timeout=100ms`)).body.state;
    most = Math.max(most, residentBytes(bench.pid));
  }
  assert(most - before < 40 * MIB, `memory grew by ${Math.round((most - before) / MIB)} MiB`);
  slow.destroy();
  const log = await (await bench.ask("GET", `/v1/jobs/${made.id}/logs`)).arrayBuffer();
  assert.equal(log.byteLength, 50_000_000);
});

Deno.test("on a full disk jobs are rejected with disk_full, and accepted once there is room again", async () => {
  await using disk = await mountSmallDisk("24M");
  if (disk === undefined) return;
  await using bench = new RunnerBench({
    config: "retention:\n  min_free_disk: 0\n",
    stateDir: disk.path,
  });
  await bench.start();
  const kept = await bench.runJob({ project: "web", script: "echo kept" });
  const filler = `${disk.path}/filler`;
  await new Deno.Command("dd", {
    args: ["if=/dev/zero", `of=${filler}`, "bs=4k"],
    stderr: "null",
  }).output();
  let refusal: { status: number; body: { code?: string } } = { status: 0, body: {} };
  const accepted: string[] = [];
  for (let count = 0; count < 200 && refusal.status !== 507; count++) {
    const answer = await bench.json("POST", "/v1/jobs", { body: job });
    if (answer.status === 201) accepted.push(answer.body.id);
    refusal = answer;
  }
  assert.equal(refusal.body.code, "disk_full");
  const ready = await bench.json("GET", "/readyz");
  await Deno.remove(filler);
  for (const id of accepted) {
    const { body } = await bench.json("GET", `/v1/jobs/${id}/wait?timeout=60s`);
    assert.equal(body.state, "succeeded", `${id}: ${body.message} (${JSON.stringify(ready)})`);
  }
  assert.equal((await bench.runJob(job)).state, "succeeded");
  assert.equal(await (await bench.ask("GET", `/v1/jobs/${kept.id}/logs`)).text(), "kept\n");
});

async function failedStart(bench: RunnerBench, args: readonly string[] = []): Promise<RunnerExit> {
  bench.spawn(args);
  return await bench.ended();
}

Deno.test("a configuration with a slip is refused with its place, and exit code 78", async () => {
  await using bench = new RunnerBench({ config: "queue:\n  max_runing: 3\n" });
  const { code, stderr } = await failedStart(bench);
  assert.equal(code, 78);
  assert.match(stderr, /config\.yaml:3:3/);
  assert.match(stderr, /did you mean "(queue\.)?max_running"/);
});

Deno.test("a socket path that is a file is refused, and the file stays", async () => {
  await using bench = new RunnerBench();
  await Deno.writeTextFile(bench.socket, "precious");
  const { code, stderr } = await failedStart(bench);
  assert.equal(code, 73);
  assert.match(stderr, /a file of that name exists; move it away/);
  assert.equal(await Deno.readTextFile(bench.socket), "precious");
});

Deno.test("a second daemon on a state directory is refused, and the first goes on", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  await using second = new RunnerBench({ stateDir: bench.stateDir });
  const { code, stderr } = await failedStart(second);
  assert.equal(code, 75);
  assert.match(stderr, new RegExp(`pid ${bench.pid}`));
  assert.equal((await bench.runJob(job)).state, "succeeded");
});

Deno.test("a second daemon on a socket is refused, and the first keeps its socket", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  await using second = new RunnerBench();
  const { code, stderr } = await failedStart(second, [`--socket=${bench.socket}`]);
  assert.equal(code, 73);
  assert.match(stderr, /another process listens there/);
  assert.equal((await bench.ask("GET", "/healthz")).status, 200);
});

Deno.test("a damaged database is refused with what to do, and stays as it is", async () => {
  await using bench = new RunnerBench();
  await Deno.mkdir(bench.stateDir, { mode: 0o700 });
  const bytes = new TextEncoder().encode("no database ".repeat(1_000));
  await Deno.writeFile(`${bench.stateDir}/runner.db`, bytes);
  const { code, stderr } = await failedStart(bench);
  assert.equal(code, 78);
  assert.match(stderr, /is damaged.*restore a backup/);
  assert.deepEqual(await Deno.readFile(`${bench.stateDir}/runner.db`), bytes);
});

Deno.test("a database of a later release is refused with what to do", async () => {
  await using bench = new RunnerBench();
  await bench.start();
  await bench.kill("SIGTERM");
  const { openDatabase } = await import("@lib/foundations/store/database.ts");
  {
    using db = openDatabase({
      path: `${bench.stateDir}/runner.db`,
      schemas: [{ name: "later", migrations: Array(50).fill("SELECT 1") }],
    });
    db.run("INSERT OR REPLACE INTO schema_versions VALUES ('jobs', 50)");
  }
  const { code, stderr } = await failedStart(bench);
  assert.equal(code, 78);
  assert.match(stderr, /install the newer release again/);
});
