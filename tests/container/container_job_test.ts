/**
 * A container job on the whole product: curl, runner, agent, git, engine.
 */
import assert from "node:assert/strict";
import { Stage, TOKEN } from "../support/container_stage.ts";
import { BUSYBOX } from "../support/docker_engine.ts";

Deno.test("a container job on a checkout streams its log, keeps to its limits, and gives its artifacts back", async () => {
  await using t = await Stage.open();
  const repository = await t.git.repository("web.git");
  const sha = await repository.commit({
    files: {
      "build.sh": { kind: "executable", text: "#!/bin/sh\nmkdir out\ncat in >out/a.txt\n" },
      in: "from git\n",
    },
  });
  const { id, log, job } = await t.follow({
    project: "web",
    image: BUSYBOX,
    git: { url: repository.url, sha, token_secret: "GIT_TOKEN" },
    secrets: { GIT_TOKEN: TOKEN, OWN: "a-secret-of-the-job" },
    script: [
      "echo begun in $PWD with $OWN",
      "./build.sh",
      "env | grep -c GIT_TOKEN || true",
      "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || true",
      "exit 3",
    ].join("\n"),
    limits: { memory: "64M", cpu: 0.5, tasks: 50 },
    artifacts: { paths: ["out/**"], when: "always" },
  });
  assert.match(log, /^\[setup\] /);
  assert.match(log, /begun in \/workspace with \*+\n0\n67108864\n/);
  assert.doesNotMatch(log, new RegExp(TOKEN));
  assert.equal(job.state, "failed");
  assert.equal(job.exit_code, 3);
  const list = JSON.parse(await t.curl(`/v1/jobs/${id}/artifacts`));
  assert.deepEqual(list.files.map(({ path }: { path: string }) => path), ["out/a.txt"]);
  assert.equal(await t.curl(`/v1/jobs/${id}/artifacts/out/a.txt`), "from git\n");
  assert.equal(await t.curl(`/v1/jobs/${id}/artifacts/out/a.txt`, "-r", "5-7"), "git");
  await t.engine.left();
});

Deno.test("a container job that exceeds its memory limit is killed, and its result says so", async () => {
  await using t = await Stage.open();
  const { job } = await t.follow({
    project: "web",
    image: BUSYBOX,
    script: "a=x; while :; do a=$a$a; done",
    limits: { memory: "32M" },
  });
  assert.equal(job.state, "failed");
  assert.equal(job.reason, "oom_killed");
  assert.match(job.message, /its 32M limit/);
  await t.engine.left();
});

Deno.test("a container job that is cancelled leaves nothing", async () => {
  await using t = await Stage.open();
  const submitted = JSON.parse(
    await t.curl(
      "/v1/jobs",
      "-d",
      JSON.stringify({
        project: "web",
        image: BUSYBOX,
        script: "trap '' TERM; echo here; sleep 1000 & wait; sleep 1000",
        grace: "200ms",
      }),
    ),
  );
  await t.logHolds(submitted.id, "here");
  assert.equal((await t.engine.containers()).length, 1);
  await t.curl(`/v1/jobs/${submitted.id}/cancel`, "-X", "POST");
  const job = JSON.parse(await t.curl(`/v1/jobs/${submitted.id}/wait?timeout=60s`));
  assert.equal(job.state, "cancelled");
  await t.engine.left();
});

Deno.test("a container job goes on when its agent is killed, is taken over, and loses nothing", async () => {
  await using t = await Stage.open();
  const lines = 2_000;
  const submitted = JSON.parse(
    await t.curl(
      "/v1/jobs",
      "-d",
      JSON.stringify({
        project: "web",
        image: BUSYBOX,
        script:
          `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo line $i; [ $((i % 100)) != 0 ] || sleep 0.2; done; exit 7`,
      }),
    ),
  );
  await t.logHolds(submitted.id, "line 300\n");
  const [pid] = t.runner.agentPids();
  assert(pid !== undefined);
  Deno.kill(pid, "SIGKILL");
  const job = JSON.parse(await t.curl(`/v1/jobs/${submitted.id}/wait?timeout=60s`));
  assert.equal(job.exit_code, 7, job.message);
  assert.equal(job.attempt, 1);
  const log = await t.curl(`/v1/jobs/${submitted.id}/logs`);
  const own = log.split("\n").filter((line) => line !== "" && !line.startsWith("[setup]"));
  assert.deepEqual(own, Array.from({ length: lines }, (_, at) => `line ${at + 1}`));
  assert.notDeepEqual(t.runner.agentPids(), [pid]);
  await t.engine.left();
});

Deno.test("a job whose image is unavailable fails before it begins, and says why", async () => {
  await using t = await Stage.open();
  const { job, log } = await t.follow({
    project: "web",
    image: "example.org/none:1",
    pull: "never",
    command: ["/bin/true"],
  });
  assert.equal(job.reason, "image_unavailable");
  assert.match(log, /\[setup\].*example\.org\/none:1/);
});
