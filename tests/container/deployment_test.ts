import assert from "node:assert/strict";
import { useDockerEngine } from "../support/container_suite.ts";
import { buildImage, IMAGE } from "../support/container_image.ts";
import { CLOSED, DeployedContainer } from "../support/deployed_container.ts";
import { pause } from "../support/runner_process.ts";

const docker = useDockerEngine(buildImage);
/** A container of the image on the engine of this file. */
const deployed = () => new DeployedContainer(docker.host);

Deno.test("the image runs jobs in a container without rights, on a file system it cannot write", async () => {
  await using t = deployed();
  await t.start(...CLOSED);
  const job = [
    "cicd-runner",
    "run",
    "-p",
    "web",
    "--",
    "sh",
    "-c",
    "id -u; grep Cap /proc/self/status; exit 3",
  ];
  const { code, stdout } = await t.exec(...job);
  assert.equal(code, 3);
  assert.match(stdout, /^1000$/m);
  assert.match(stdout, /^CapBnd:\s+0+$/m);
  const { stdout: id } = await t.exec("cicd-runner", "submit", "-p", "web", "--", "echo", "hello");
  await t.exec("cicd-runner", "wait", id.trim());
  assert.equal((await t.exec("cicd-runner", "logs", id.trim())).stdout, "hello\n");
  assert.notEqual((await t.exec("touch", "/opt/cicd-toolkit/x")).code, 0);
});

Deno.test("the image's health check is the one that Docker runs", async () => {
  await using t = deployed();
  await t.start(...CLOSED, "--health-interval=1s");
  for (let tries = 0; tries < 300; tries++) {
    const state = await t.cli.run("inspect", "--format={{.State.Health.Status}}", t.name);
    if (state === "healthy") return;
    await pause(100);
  }
  assert.fail(await t.cli.run("inspect", "--format={{json .State.Health}}", t.name));
});

Deno.test("the image's first process takes the processes that jobs orphan", async () => {
  await using t = deployed();
  await t.start(...CLOSED);
  // Both outlive their parent, and belong to the first process from then on.
  const { code } = await t.exec("sh", "-c", "(sleep 0.1 &) ; (true &)");
  assert.equal(code, 0);
  await pause(500);
  const { stdout } = await t.exec("sh", "-c", "grep -l '^State:.Z' /proc/[0-9]*/status");
  assert.equal(stdout, "");
});

Deno.test("docker stop waits for the job at work, and the next start takes jobs again", async () => {
  await using t = deployed();
  await t.start(...CLOSED, "--env=STOP_WAIT_SECONDS=60");
  const work = ["-p", "web", "--", "sh", "-c", "echo began; sleep 3; echo ended"];
  const { stdout: id } = await t.exec("cicd-runner", "submit", ...work);
  for (let tries = 0; tries < 100; tries++) {
    if ((await t.exec("cicd-runner", "logs", id.trim())).stdout.includes("began")) break;
    await pause(50);
  }
  await t.cli.run("stop", "--time=60", t.name);
  const code = await t.cli.run("inspect", "--format={{.State.ExitCode}}", t.name);
  assert.equal(code, "0");
  await t.cli.run("start", t.name);
  await t.answers();
  const { stdout } = await t.exec("cicd-runner", "show", id.trim(), "--json");
  assert.equal(JSON.parse(stdout).state, "succeeded");
  assert.equal((await t.exec("cicd-runner", "logs", id.trim())).stdout, "began\nended\n");
  const again = await t.exec("cicd-runner", "run", "-p", "web", "--", "echo", "again");
  assert.equal(again.stdout, "again\n", again.stderr);
});

Deno.test("a queue paused by a person stays paused across a stop", async () => {
  await using t = deployed();
  await t.start(...CLOSED, "--env=STOP_WAIT_SECONDS=60");
  await t.exec("cicd-runner", "pause");
  await t.cli.run("stop", "--time=60", t.name);
  await t.cli.run("start", t.name);
  await t.answers();
  await pause(1_000);
  const { stdout } = await t.exec("cicd-runner", "status", "--json");
  assert.equal(JSON.parse(stdout).mode, "paused");
});

Deno.test("started as root, the image hands the volume on and drops every right", async () => {
  await using t = deployed();
  await t.cli.run(
    ...["run", "--rm", "--network=none", `--volume=${t.name}:/var/lib/cicd`, "--user=root"],
    ...["--entrypoint=chown", IMAGE, "root:root", "/var/lib/cicd"],
  );
  await t.start("--user=root");
  const work = ["sh", "-c", "id -u; grep -E 'Cap(Eff|Bnd|Inh)|NoNewPrivs' /proc/self/status"];
  const asCicd = await t.cli.try(
    "exec",
    "--user=cicd",
    t.name,
    "cicd-runner",
    "run",
    "-p",
    "web",
    "--",
    ...work,
  );
  assert.match(asCicd.stdout, /^1000$/m, asCicd.stderr);
  for (const name of ["CapEff", "CapBnd", "CapInh"]) {
    assert.match(asCicd.stdout, new RegExp(`^${name}:\\s+0+$`, "m"));
  }
  assert.match(asCicd.stdout, /^NoNewPrivs:\s+1$/m);
});

Deno.test("a listener and a key from a file are configured as the files of deploy/ do it", async () => {
  await using t = deployed();
  const directory = await Deno.makeTempDir({ prefix: "deployed-" });
  try {
    await Deno.chmod(directory, 0o755);
    await Deno.copyFile("deploy/compose/config.yaml", `${directory}/config.yaml`);
    await Deno.writeTextFile(`${directory}/agent_api_key`, "the-pre-shared-key\n");
    await Deno.writeTextFile(`${directory}/gryt_encryption_key`, `${"A".repeat(43)}=\n`);
    await t.start(
      ...CLOSED,
      `--volume=${directory}/config.yaml:/etc/cicd-toolkit/config.yaml:ro`,
      `--volume=${directory}:/run/secrets:ro`,
    );
    const ask = async (...args: readonly string[]) => {
      const { stdout } = await t.exec(
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        ...args,
      );
      return stdout;
    };
    const here = "http://127.0.0.1:8080";
    assert.equal(await ask(`${here}/health`), "200");
    assert.equal(await ask(`${here}/v1/jobs`), "401");
    const execute = ["-X", "POST", "-H", "content-type: application/json", "-d", "{}"];
    assert.equal(await ask(...execute, "-H", "X-API-Key: wrong", `${here}/jobs/execute`), "401");
    const right = await ask(
      ...execute,
      "-H",
      "X-API-Key: the-pre-shared-key",
      `${here}/jobs/execute`,
    );
    assert.match(right, /^(400|422)$/);
    const { stdout } = await t.exec("cicd-runner", "run", "-p", "web", "--", "env");
    assert.doesNotMatch(stdout, /the-pre-shared-key|CREDENTIALS_DIRECTORY/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
