import assert from "node:assert/strict";
import {
  bootSuite,
  postArgs,
  STATE_DIR,
  type SuiteInMachine,
} from "../support/suite_in_machine.ts";

// One machine for each group of questions: a boot takes longer than the answers.

Deno.test("curl submits and follows a job to its result line", async (t) => {
  await using suite = await bootSuite();

  await t.step("the log comes while the job runs, then the result", async () => {
    const body = { project: "web", script: "echo one; read -r _ <~/gate; echo two; exit 3" };
    await suite.run(["mkfifo", "gate"]);
    await using curl = await suite.stream("/v1/jobs?follow=1", ...postArgs(body));
    const reader = curl.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, "one\n");
    await suite.run(["sh", "-c", "echo go >gate"]);
    let rest = "";
    for (let next = await reader.read(); next.value !== undefined; next = await reader.read()) {
      rest += next.value;
    }
    assert.match(
      rest,
      /^two\ncicd-result state=failed exit_code=3 reason=exit_code job=[0-9a-f-]+\n$/,
    );
  });

  await t.step("a last line without an end is ended before the result", async () => {
    const { stdout } = await suite.curl(
      "/v1/jobs?follow=1",
      ...postArgs({ project: "web", command: ["printf", "no end"] }),
    );
    assert.match(stdout, /^no end\ncicd-result state=succeeded exit_code=0 /);
  });

  await t.step("a job is a unit of its own in its project's slice", async () => {
    for (
      const [project, slice] of [["web", "cicd-web"], ["web-app", "cicd-web\\x2dapp"]] as const
    ) {
      const { id } = await suite.submit({ project, script: "cat /proc/self/cgroup" });
      assert.equal((await suite.ended(id)).state, "succeeded");
      const group = `/cicd.slice/${slice}.slice/cicd-job-${id}-1.service\n`;
      assert.ok((await suite.log(id)).endsWith(group), await suite.log(id));
    }
  });

  await t.step("each project has its agent, which says how it stands", async () => {
    assert.equal(await suite.show("cicd-agent@web.service", "ActiveState"), "active");
    assert.match(await suite.show("cicd-agent@web.service", "StatusText"), /^Project web: idle/);
    const { text } = await suite.ask("GET", "/v1/projects/web-app");
    assert.equal(JSON.parse(text).agent.running, true);
    const { text: list } = await suite.ask("GET", "/v1/projects");
    const names = JSON.parse(list).projects.map(({ project }: { project: string }) => project);
    assert.deepEqual(names, ["web", "web-app"]);
  });

  await t.step("the job's environment is the job's own", async () => {
    const { id } = await suite.submit({
      project: "web",
      command: ["env"],
      env: { GREETING: "hello" },
    });
    await suite.ended(id);
    const names = (await suite.log(id)).trim().split("\n").map((line) => line.split("=")[0] ?? "");
    assert.ok(names.includes("GREETING") && names.includes("CICD_JOB_ID"));
    const foreign =
      /^(NOTIFY_SOCKET|LISTEN_|WATCHDOG_|DENO|INVOCATION_ID|JOURNAL_STREAM|TMPDIR|SYSTEMD_|MANAGERPID|CREDENTIALS|CACHE_DIR|RUNTIME_DIR|DBUS)/;
    assert.deepEqual(names.filter((name) => foreign.test(name)), []);
  });

  await t.step("a job holds no file of the suite open", async () => {
    const { id } = await suite.submit({ project: "web", script: "ls -l /proc/self/fd | wc -l" });
    await suite.ended(id);
    // A heading, 0, 1, 2, and the folder itself; 10 is the shell's own script, if it leaks it.
    assert.ok(Number(await suite.log(id)) <= 6, await suite.log(id));
  });

  await t.step("neither program found anything to warn about", async () => {
    assert.equal(await suite.journal("warning"), "");
  });
});

Deno.test("jobs are cancelled, timed out, retried and superseded", async (t) => {
  await using suite = await bootSuite();

  await t.step("cancel lets a job tidy up within its grace", async () => {
    const script = "trap 'echo tidy; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    const { id } = await suite.submit({ project: "web", script, grace: "10s" });
    await suite.machine.waitFor("the job", async () => (await suite.log(id)) === "ready\n");
    assert.equal((await suite.ask("POST", `/v1/jobs/${id}/cancel`)).status, 202);
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.reason], ["cancelled", "cancelled"]);
    // Between the two the shell may tell that its `sleep` was terminated.
    assert.match(await suite.log(id), /^ready\n(Terminated\n)?tidy\n$/);
    assert.equal((await suite.ask("POST", `/v1/jobs/${id}/cancel`)).status, 200);
  });

  await t.step("cancel leaves nothing of a hostile tree", async () => {
    const script = [
      "trap '' TERM INT HUP",
      "for i in 1 2 3; do setsid sh -c \"trap '' TERM; while :; do sleep 4242; done\" & done",
      "(setsid sh -c 'trap \"\" TERM; (sleep 4242 &) ; sleep 4242' &)",
      "echo ready",
      "while :; do sleep 4242; done",
    ].join("\n");
    const { id } = await suite.submit({ project: "web", script, grace: "1s" });
    await suite.machine.waitFor("the job", async () => (await suite.log(id)) === "ready\n");
    await suite.ask("POST", `/v1/jobs/${id}/cancel`);
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.signal], ["cancelled", "SIGKILL"]);
    assert.equal((await suite.machine.exec(["pgrep", "-f", "4242"])).stdout, "");
    assert.equal(await suite.show(`cicd-job-${id}-1.service`, "LoadState"), "not-found");
  });

  await t.step("what a job leaves in the background ends with it", async () => {
    const script = "setsid sleep 4243 >/dev/null 2>&1 & sleep 0.1; exit 5";
    const { id } = await suite.submit({ project: "web", script, grace: "1s" });
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.exit_code], ["failed", 5]);
    assert.equal((await suite.machine.exec(["pgrep", "-f", "sleep 4243"])).stdout, "");
  });

  await t.step("a queued job is cancelled at once", async () => {
    await suite.ask("POST", "/v1/queue/pause");
    const { id } = await suite.submit({ project: "web", script: "true" });
    const { status, text } = await suite.ask("POST", `/v1/jobs/${id}/cancel`);
    assert.equal(status, 200);
    assert.equal(JSON.parse(text).state, "cancelled");
    await suite.ask("POST", "/v1/queue/resume");
  });

  await t.step("a time limit ends a job as timed_out", async () => {
    const { id } = await suite.submit({
      project: "web",
      script: "trap 'exit 0' TERM; while :; do sleep 0.05; done",
      timeout: "1s",
      grace: "1s",
    });
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.reason], ["timed_out", "timeout"]);
  });

  await t.step("retry gives an ended job a further attempt, and keeps both logs", async () => {
    const script = 'echo "attempt $CICD_ATTEMPT"; [ "$CICD_ATTEMPT" = 2 ]';
    const { id } = await suite.submit({ project: "web", script });
    assert.equal((await suite.ended(id)).exit_code, 1);
    assert.equal((await suite.ask("POST", `/v1/jobs/${id}/retry`)).status, 202);
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.attempt], ["succeeded", 2]);
    assert.equal(await suite.log(id), "attempt 1\nattempt 2\n");
  });

  await t.step("a retry policy does so by itself", async () => {
    const script = 'echo "attempt $CICD_ATTEMPT"; exit 9';
    const { id } = await suite.submit({
      project: "web",
      script,
      retries: { max: 2, on: ["failed"] },
    });
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.exit_code, job.attempt], ["failed", 9, 3]);
    assert.equal(await suite.log(id), "attempt 1\nattempt 2\nattempt 3\n");
  });

  await t.step("a program that is not there is told as such", async () => {
    const { id } = await suite.submit({ project: "web", command: ["/no/such/program"] });
    const job = await suite.ended(id);
    assert.deepEqual([job.state, job.reason, job.exit_code], ["failed", "exec_failed", 127]);
  });

  await t.step("a newer job of a group supersedes the one that runs", async () => {
    const group = { concurrency_group: "deploy", cancel_in_progress: true, grace: "1s" };
    const old = await suite.submit({ project: "web", script: "sleep 30", ...group });
    await suite.until(old.id, ["running"]);
    const young = await suite.submit({ project: "web", script: "echo done", ...group });
    const [first, second] = await Promise.all([suite.ended(old.id), suite.ended(young.id)]);
    assert.deepEqual([first.state, first.reason], ["cancelled", "superseded"]);
    assert.equal(second.state, "succeeded");
  });

  await t.step("neither program found anything to warn about", async () => {
    assert.equal(await suite.journal("warning"), "");
  });
});

Deno.test("the queue keeps to its limits, modes and keys", async (t) => {
  await using suite = await bootSuite({ config: "projects: { one: { max_running: 1 } }\n" });

  await t.step("a project runs no more jobs at once than it may", async () => {
    const script = "echo + >>~/now; sleep 0.2; echo - >>~/now";
    const jobs = [];
    for (let n = 0; n < 4; n++) jobs.push(await suite.submit({ project: "one", script }));
    for (const { id } of jobs) assert.equal((await suite.ended(id)).state, "succeeded");
    assert.equal(await suite.read("/home/dev/now"), "+\n-\n".repeat(4));
  });

  await t.step("a higher priority starts first", async () => {
    await suite.ask("POST", "/v1/projects/one/pause");
    const jobs = [];
    for (const priority of [1, 9, 5]) {
      const script = `echo ${priority} >>~/order`;
      jobs.push(await suite.submit({ project: "one", script, priority }));
    }
    await suite.ask("POST", "/v1/projects/one/resume");
    for (const { id } of jobs) await suite.ended(id);
    assert.equal(await suite.read("/home/dev/order"), "9\n5\n1\n");
  });

  await t.step("draining refuses new jobs and runs the accepted ones", async () => {
    const { id } = await suite.submit({ project: "one", script: "sleep 0.3" });
    await suite.ask("POST", "/v1/projects/one/drain");
    const body = { project: "one", script: "true" };
    const refused = await suite.ask("POST", "/v1/jobs", { body });
    assert.equal(refused.status, 503);
    assert.equal(JSON.parse(refused.text).code, "draining");
    assert.ok(Number(refused.headers["retry-after"]) > 0);
    assert.equal((await suite.ended(id)).state, "succeeded");
    await suite.systemctl("restart", "cicd-runner.service");
    assert.equal((await suite.ask("POST", "/v1/jobs", { body })).status, 503);
    await suite.ask("POST", "/v1/projects/one/resume");
    assert.equal((await suite.ask("POST", "/v1/jobs", { body })).status, 201);
  });

  await t.step("a key makes many submissions one job", async () => {
    const headers = { "idempotency-key": "build-17" };
    const body = { project: "web", script: "echo once >>~/once" };
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => suite.ask("POST", "/v1/jobs", { body, headers })),
    );
    const ids = new Set(answers.map(({ text }) => JSON.parse(text).id));
    assert.equal(ids.size, 1);
    for (const id of ids) await suite.ended(id);
    assert.equal(await suite.read("/home/dev/once"), "once\n");
    const other = { ...body, script: "something else" };
    const reused = await suite.ask("POST", "/v1/jobs", { body: other, headers });
    assert.equal(reused.status, 422);
    assert.equal(JSON.parse(reused.text).code, "idempotency_key_reused");
  });

  await t.step("a field at fault is named", async () => {
    const body = { project: "web", script: "true", timout: "5m" };
    const { status, text } = await suite.ask("POST", "/v1/jobs", { body });
    assert.equal(status, 422);
    assert.match(text, /timout.*timeout/);
  });
});

Deno.test("logs, events and metrics are read as promised", async (t) => {
  await using suite = await bootSuite();
  const script =
    "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.02; done; printf 'ü%s' €";
  const { id } = await suite.submit({ project: "web", script, output: "merged" });
  await suite.ended(id);
  const whole = "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nü€";

  await t.step(
    "the log is whole and in order",
    async () => assert.equal(await suite.log(id), whole),
  );

  await t.step("a range is a part of it", async () => {
    const { status, headers, text } = await suite.ask("GET", `/v1/jobs/${id}/logs`, {
      headers: { range: "bytes=6-11" },
    });
    assert.deepEqual([status, text], [206, "err 1\n"]);
    const size = new TextEncoder().encode(whole).length;
    assert.equal(headers["content-range"], `bytes 6-11/${size}`);
    const range = `bytes=${size}-`;
    const beyond = await suite.ask("GET", `/v1/jobs/${id}/logs`, { headers: { range } });
    assert.equal(beyond.status, 416);
  });

  await t.step("timestamps stand before each line", async () => {
    const { text } = await suite.ask("GET", `/v1/jobs/${id}/logs?timestamps=1`);
    const lines = text.split("\n");
    assert.equal(lines.length, 7);
    for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,}Z /);
    assert.deepEqual(lines.map((line) => line.slice(line.indexOf(" ") + 1)).join("\n"), whole);
  });

  await t.step("server-sent events resume after the last one", async () => {
    const accept = "Accept: text/event-stream";
    const path = `/v1/jobs/${id}/logs?follow=1`;
    const { stdout } = await suite.curl(path, "-H", accept, "-H", "Last-Event-ID: 12");
    assert.deepEqual(textOfEvents(stdout), whole.slice(12));
    assert.match(
      stdout,
      /event: end\nid: \d+\ndata: \{"state":"succeeded","reason":"exit_code","exit_code":0\}\n\n$/,
    );
  });

  await t.step("split output is read apart", async () => {
    const split = await suite.submit({ project: "web", script, output: "split" });
    await suite.ended(split.id);
    const read = async (stream: string) =>
      (await suite.ask("GET", `/v1/jobs/${split.id}/logs?stream=${stream}`)).text;
    assert.equal(await read("stdout"), "out 1\nout 2\nout 3\nü€");
    assert.equal(await read("stderr"), "err 1\nerr 2\nerr 3\n");
    const merged = await suite.ask("GET", `/v1/jobs/${id}/logs?stream=stderr`);
    assert.equal(merged.status, 422);
  });

  await t.step("a large log arrives whole, and a slow reader does not cost memory", async () => {
    const big = await suite.submit({ project: "web", script: "seq 1 2000000" });
    await suite.ended(big.id);
    const { stdout } = await suite.machine.exec([
      "sh",
      "-c",
      `curl -sN --unix-socket /run/user/1000/cicd-runner.sock http://localhost/v1/jobs/${big.id}/logs | cksum; seq 1 2000000 | cksum`,
    ], { user: "dev" });
    const [got, wanted] = stdout.trim().split("\n");
    assert.equal(got, wanted);
  });

  await t.step("the stream of events tells each change, and resumes", async () => {
    await using curl = await suite.stream("/v1/events?since=0");
    const events = curl.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes(`"id":"${id}"`)) text += (await events.read()).value ?? "";
    const next = await suite.submit({ project: "web", script: "true" });
    while (!new RegExp(`"id":"${next.id}"[^\n]*"state":"succeeded"`).test(text)) {
      text += (await events.read()).value ?? "";
    }
    await events.cancel();
  });

  await t.step("metrics and the API's description are well-formed", async () => {
    const { headers, text } = await suite.ask("GET", "/metrics");
    assert.match(headers["content-type"] ?? "", /openmetrics-text/);
    const sample = /^[a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? -?[0-9.e+-]+$/;
    for (const line of text.trimEnd().split("\n")) {
      assert.ok(line.startsWith("# ") || sample.test(line), line);
    }
    assert.match(text, /^cicd_jobs\{project="web",state="succeeded"\} \d+$/m);
    assert.ok(text.endsWith("# EOF\n"));
    const api = JSON.parse((await suite.ask("GET", "/openapi.json")).text);
    assert.match(api.openapi, /^3\.1/);
    assert.ok(api.paths["/v1/jobs"].post !== undefined);
  });

  await t.step("neither program found anything to warn about", async () => {
    assert.equal(await suite.journal("warning"), "");
  });
});

Deno.test("a secret reaches the job and nothing else", async () => {
  await using suite = await bootSuite();
  const value = "hunter2-correct-horse-battery";
  const base64 = btoa(value);
  const { id } = await suite.submit({
    project: "web",
    script: 'echo "plain $TOKEN"; printf %s "$TOKEN" | base64 -w0; echo; echo ready; ' +
      'printf %s "$TOKEN" | wc -c; read -r _ <~/gate',
    secrets: { TOKEN: value },
  });
  await suite.run(["mkfifo", "gate"]);
  await suite.machine.waitFor("the job", async () => (await suite.log(id)).includes("ready\n"));
  const log = await suite.log(id);
  assert.ok(!log.includes(value) && !log.includes(base64), log);
  // Of base64, the last character may stand: what it is depends on the bytes that follow.
  assert.match(log, new RegExp(`^plain \\*+\n\\*{36,}.?=?\nready\n${value.length}\n`));
  const unit = `cicd-job-${id}-1.service`;
  for (const [where, text] of await tracesOf(suite, unit)) {
    assert.ok(!text.includes(value) && !text.includes(base64), `the secret stands in ${where}`);
  }
  await suite.run(["sh", "-c", "echo go >gate"]);
  assert.equal((await suite.ended(id)).state, "succeeded");
  for (const [where, text] of await tracesOf(suite, unit)) {
    assert.ok(!text.includes(value), `the secret stands in ${where} after the end`);
  }
  // The job's own raw output is the one place; only the account itself can read it.
  const found = await suite.machine.exec(["grep", "-rlF", value, "/home/dev", "/run/user/1000"]);
  assert.equal(found.stdout, `${STATE_DIR}/projects/web/jobs/${id}/1/output.log\n`);
});

/** Everything that other programs of the machine could read while the job runs. */
async function tracesOf(
  suite: SuiteInMachine,
  unit: string,
): Promise<readonly (readonly [string, string])[]> {
  const { machine } = suite;
  const words = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null";
  return [
    ["systemctl show", await suite.systemctl("show", "--all", unit)],
    ["the command lines", (await machine.exec(["sh", "-c", words])).stdout],
    ["the journal", (await machine.exec(["journalctl", "--output=export"])).stdout],
    ["the unit file", (await machine.exec(["grep", "-r", "", "/run/user/1000/systemd"])).stdout],
    ["the API", (await suite.ask("GET", "/v1/jobs")).text],
  ];
}

/** The log that a stream of events carries. */
function textOfEvents(stream: string): string {
  return stream.split("\n\n").filter((event) => event.startsWith("event: log\n")).map((event) => {
    const data = /^data: (.*)$/m.exec(event)?.[1] ?? "{}";
    return (JSON.parse(data) as { readonly text: string }).text;
  }).join("");
}
