import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { useDockerEngine } from "../support/container_suite.ts";
import { type GitServer, startGitServer } from "../support/git_server.ts";
import { GrytClient, isGrytResult, pipelineBase64 } from "../support/gryt_client.ts";
import { GRYT_IMAGE, importGrytImage } from "../support/gryt_image.ts";
import { pause, RunnerBench } from "../support/runner_process.ts";
import { sealFernet } from "../support/seal_fernet.ts";

const API_KEY = "the-pre-shared-key";
/** Nothing else on the machine holds these characters. */
const TOKEN = `ghp_${randomBytes(18).toString("hex")}`;
const FERNET_KEY = new Uint8Array(randomBytes(32));

const docker = useDockerEngine(async (engine) => {
  const kind = await importGrytImage(engine.host, AbortSignal.timeout(900_000));
  if (kind === "stand_in") console.error("gryt cannot be had here; its stand-in is used");
});

/** A runner that is set up by a file of variables, as Gryt's agent is. */
async function setup() {
  const git = await startGitServer({ token: TOKEN });
  const directory = await Deno.makeTempDir({ prefix: "gryt-" });
  const variables = [
    `export AGENT_API_KEY="${API_KEY}"`,
    `export GRYT_ENCRYPTION_KEY="${FERNET_KEY.toBase64()}"`,
    `export GRYT_DOCKER_IMAGE="${GRYT_IMAGE}"`,
  ];
  await Deno.writeTextFile(`${directory}/.envrc`, `${variables.join("\n")}\n`, { mode: 0o600 });
  const bench = new RunnerBench({
    config: `
containers: { host: "${docker.host}", network: none }
gryt: { env_file: ${directory}/.envrc }
`,
  });
  await bench.start();
  const ask = (...question: Parameters<RunnerBench["ask"]>) => bench.ask(...question);
  return {
    bench,
    git,
    ask,
    client: new GrytClient(ask, API_KEY),
    async [Symbol.asyncDispose]() {
      await bench[Symbol.asyncDispose]();
      await git[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** A pipeline of one step for each command. */
function pipeline(...commands: (readonly string[])[]): string {
  const steps = commands.map((cmd, at) =>
    `CommandStep("step${at}", {"cmd": ${JSON.stringify(cmd)}})`
  );
  return pipelineBase64(
    `from gryt import CommandStep, Pipeline, Runner\nPIPELINE = Pipeline([Runner([${
      steps.join(", ")
    }])])\n`,
  );
}

async function repositoryOf(git: GitServer): Promise<string> {
  const repository = await git.repository("app");
  await repository.commit({ files: { "hello.txt": "hello from the repository\n" } });
  return repository.url;
}

Deno.test("a Gryt client runs a pipeline on a checkout, and the token is nowhere to be found", async () => {
  await using t = await setup();
  assert.deepEqual((await t.client.health()).body, {
    status: "healthy",
    version: "0.1.0",
    docker_available: true,
  });
  const result = t.client.execute({
    job_id: 123,
    pipeline_b64: pipeline(
      ["busybox", "cat", "hello.txt"],
      [
        "sh",
        "-c",
        "busybox env; busybox cat .git/config; while [ ! -e go ]; do busybox sleep 0.05; done",
      ],
    ),
    git_url: await repositoryOf(t.git),
    git_branch: "main",
    github_token_encrypted: sealFernet(FERNET_KEY, TOKEN),
    env_vars: { FOO: "bar" },
    cpu_limit: "1.0",
    memory_limit: "256m",
  });
  const { workspace, container } = await running(t.bench);
  assert.equal(await Deno.readTextFile(`${workspace}/hello.txt`), "hello from the repository\n");
  // Under way: what the engine knows, what every process was given, and every file of the runner.
  assert.deepEqual(await placesOf(TOKEN, { container, directory: t.bench.directory }), []);
  // The search finds what is there.
  assert.notDeepEqual(
    await placesOf("GRYT_WORKSPACE", { container, directory: t.bench.directory }),
    [],
  );
  await Deno.writeTextFile(`${workspace}/go`, "");
  const { status, body } = await result;
  assert.equal(status, 200);
  assert(isGrytResult(body));
  assert.equal(body.success, true, JSON.stringify(body));
  assert.equal(body.exit_code, 0);
  const { step0, step1 } = JSON.parse(body.stdout).results.runner_0;
  assert.equal(step0.stdout, "hello from the repository\n");
  assert.match(step1.stdout, /^GRYT_WORKSPACE=\/workspace$/m);
  assert.match(step1.stdout, /^FOO=bar$/m);
  assert.doesNotMatch(JSON.stringify(body), new RegExp(TOKEN));
  assert(t.git.requests.some(({ authorization }) => authorization !== undefined));
  assert.deepEqual(await placesOf(TOKEN, { directory: t.bench.directory }), []);
  await docker.engine.left();
});

Deno.test("a Gryt client sees a failing step, though gryt itself ends with 0", async () => {
  await using t = await setup();
  const { status, body } = await t.client.execute({
    job_id: 1,
    pipeline_b64: pipeline(["busybox", "true"], ["sh", "-c", "echo so far; exit 3"]),
  });
  assert.equal(status, 200);
  assert(isGrytResult(body), JSON.stringify(body));
  assert.equal(body.success, false);
  assert.equal(body.exit_code, 3, JSON.stringify(body));
  assert.match(body.stdout, /so far/);
  assert.match(String(body["error"]), /step1/);
  const broken = await t.client.execute({
    job_id: 2,
    pipeline_b64: pipelineBase64("steps: []: x"),
  });
  assert.equal(broken.body.success, false);
  assert.equal(broken.body.exit_code, 1);
  await docker.engine.left();
});

Deno.test("a Gryt client is informed of a bad key, a missing key, and a job that cannot begin", async () => {
  await using t = await setup();
  const body = { job_id: 5, pipeline_b64: pipeline(["busybox", "true"]) };
  const wrong = await new GrytClient(t.ask, "another").execute(body);
  assert.deepEqual(wrong, { status: 401, body: { detail: "Invalid API key" } });
  assert.equal((await new GrytClient(t.ask).execute(body)).status, 422);
  const unreadable = sealFernet(new Uint8Array(32), TOKEN);
  const cases = [
    [
      { job_id: 6, git_url: `${t.git.url}/app.git`, github_token_encrypted: unreadable },
      /github_token_encrypted/,
    ],
    [{ job_id: 7, docker_image: "cicd-test/nothing:1" }, /cicd-test\/nothing/],
    [{ job_id: 8, git_url: `${t.git.url}/nothing.git` }, /./],
    [{ job_id: 9, pipeline_b64: "%" }, /pipeline_b64/],
  ] as const;
  for (const [changes, message] of cases) {
    const { status, body: told } = await t.client.execute({ ...body, ...changes });
    assert.equal(status, 200);
    assert(isGrytResult(told), JSON.stringify(told));
    assert.equal(told.success, false);
    assert.equal(told.exit_code, -1);
    assert.equal(told.stdout, "");
    assert.equal(told.stderr, told["error"]);
    assert.match(told.stderr, message);
    assert.doesNotMatch(JSON.stringify(told), new RegExp(TOKEN));
  }
});

Deno.test("a Gryt job ends at its time limit, and nothing of it is left", async () => {
  await using t = await setup();
  const { status, body } = await t.client.execute({
    job_id: 10,
    pipeline_b64: pipeline(["busybox", "sleep", "300"]),
    timeout: 3,
  });
  assert.equal(status, 200);
  assert.equal(body.success, false);
  assert.equal(body.exit_code, -1);
  assert.match(String(body["error"]), /time limit of 3s/);
  await docker.engine.left();
});

/** The container of the one job that runs, and its workspace. */
async function running(bench: RunnerBench) {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const [container] = await docker.engine.containers();
    const [job] = (await bench.json("GET", "/v1/jobs?state=running")).body.jobs;
    if (container !== undefined && job !== undefined) {
      const workspace = `${bench.stateDir}/projects/gryt/workspaces/1`;
      // The step has begun once gryt has printed nothing and runs a shell: its process is there.
      if ((await processesWith("while [ ! -e go ]")).length > 0) return { container, workspace };
    }
    assert(Date.now() < deadline, "the job does not run");
    await pause(50);
  }
}

/** Where a text is to be found: in a container's description, in processes, in files. */
async function placesOf(
  text: string,
  { container, directory }: { readonly container?: string; readonly directory: string },
): Promise<readonly string[]> {
  const places = (await processesWith(text)).map((pid) => `process ${pid}`);
  if (container !== undefined) {
    const inspected = await new Deno.Command("docker", {
      args: ["--host", docker.host, "inspect", container],
    }).output();
    assert(inspected.success);
    if (new TextDecoder().decode(inspected.stdout).includes(text)) places.push("docker inspect");
  }
  const found = await new Deno.Command("grep", { args: ["-rlaF", "-e", text, directory] }).output();
  return [
    ...places,
    ...new TextDecoder().decode(found.stdout).split("\n").filter((one) => one !== ""),
  ];
}

/** Processes whose arguments or environment hold a text, without those that search for it. */
async function processesWith(text: string): Promise<readonly string[]> {
  const pids: string[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    for (const file of ["cmdline", "environ"]) {
      const content = await Deno.readTextFile(`/proc/${name}/${file}`).catch(() => "");
      if (content.includes(text)) pids.push(name);
    }
  }
  return pids;
}
