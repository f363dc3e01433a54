import assert from "node:assert/strict";
import { bootSuite, postArgs } from "../support/suite_in_machine.ts";

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
      /^(NOTIFY_SOCKET|LISTEN_|WATCHDOG_|DENO|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_|MANAGERPID|CREDENTIALS|CACHE_DIR|RUNTIME_DIR|DBUS)/;
    assert.deepEqual(names.filter((name) => foreign.test(name)), []);
  });

  await t.step("a job holds no file of the suite open", async () => {
    const { id } = await suite.submit({ project: "web", script: "ls -l /proc/self/fd | wc -l" });
    await suite.ended(id);
    // A heading, 0, 1, 2, and the directory itself; 10 is the shell's own script, if it leaks it.
    assert.ok(Number(await suite.log(id)) <= 6, await suite.log(id));
  });

  await t.step("neither program found anything to warn about", async () => {
    assert.match(await suite.journal("info"), /Ready[^]*Job ended/);
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
