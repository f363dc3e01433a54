import assert from "node:assert/strict";
import { parse } from "yaml";
import { RunnerBench } from "../support/runner_process.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** Runs a step's script as GitHub does, with `cicd-runner` in its PATH. */
async function step(
  bench: RunnerBench,
  script: string,
  env: Readonly<Record<string, string>> = {},
) {
  const directory = bench.directory;
  await Deno.mkdir(`${directory}/.local/bin`, { recursive: true });
  await Deno.writeTextFile(
    `${directory}/.local/bin/cicd-runner`,
    `#!/bin/sh\nexec "${Deno.execPath()}" run --quiet -A "${ROOT}cmd/runner/main.ts" "$@"\n`,
    { mode: 0o755 },
  );
  const files = { GITHUB_STEP_SUMMARY: `${directory}/summary`, GITHUB_OUTPUT: `${directory}/out` };
  for (const path of Object.values(files)) await Deno.writeTextFile(path, "");
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script],
    clearEnv: true,
    env: {
      PATH: `${directory}/.local/bin:${Deno.env.get("PATH")}`,
      HOME: directory,
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
      XDG_RUNTIME_DIR: directory,
      CICD_SOCKET: bench.socket,
      GITHUB_ACTIONS: "true",
      ...files,
      ...env,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
    summary: await Deno.readTextFile(files.GITHUB_STEP_SUMMARY),
    output: await Deno.readTextFile(files.GITHUB_OUTPUT),
  };
}

Deno.test("a job is a step of GitHub Actions", async (t) => {
  await using bench = new RunnerBench();
  await bench.start();

  await t.step("run annotates a failed job and writes the step's files", async () => {
    const script = "cicd-runner run -p web -- sh -c " +
      `'echo "sha=1" >> $GITHUB_OUTPUT; printf "$GITHUB_TOKEN"; exit 3'`;
    const result = await step(bench, script, { GITHUB_TOKEN: "ghs_0123456789abcdef" });
    assert.equal(result.code, 3, result.stderr);
    assert.match(
      result.stdout,
      /^\*+\n::error title=web%3A failed::job [0-9a-f-]{36} failed \(exit code 3, .*\n$/,
    );
    assert.match(result.summary, /^\n\*\*web\*\*: job \S+ failed \\\(exit code 3.*\n$/);
    assert.equal(result.output, "sha=1\n");
  });

  await t.step("run groups the setup, and annotates no success", async () => {
    const job = `${bench.directory}/job.yaml`;
    await Deno.writeTextFile(job, 'files: { a.txt: "hello\\n" }\nscript: cat a.txt\n');
    const result = await step(bench, `cicd-runner run --file ${job}`);
    assert.equal(result.code, 0, result.stderr);
    assert.match(
      result.stdout,
      /^::group::Setup\n::stop-commands::(\S+)\n\[setup\] .*\n::\1::\n::endgroup::\nhello\n$/,
    );
    assert.match(result.summary, /succeeded/);
  });

  await t.step("run annotates why there is no job", async () => {
    const result = await step(bench, "cicd-runner run --file /no/such.yaml");
    assert.notEqual(result.code, 0);
    assert.match(result.stdout, /^::error title=cicd-runner::.*such\.yaml/);
  });

  await t.step("nothing is different elsewhere", async () => {
    const plain = await step(bench, "cicd-runner run -- false", { GITHUB_ACTIONS: "" });
    assert.deepEqual([plain.code, plain.stdout, plain.summary], [1, "", ""]);
    const asked = await step(bench, "cicd-runner run --github -- false", { GITHUB_ACTIONS: "" });
    assert.match(asked.stdout, /^::error /);
  });

  await t.step(
    "the README's curl fails the step when the job fails, and shows its log",
    async () => {
      const readme = await Deno.readTextFile(`${ROOT}README.md`);
      const [written = ""] = /^curl -sN[^]*?(?=\n```)/m.exec(readme) ?? [];
      const curl = written.replace(/"git": \{[^}]*\}, /, "");
      assert.notEqual(curl, written);
      assert.match(curl, /make test/);
      await Deno.symlink(bench.socket, `${bench.directory}/cicd-runner.sock`);
      const failed = await step(bench, curl.replace("make test", "echo seen; exit 1"));
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, /^seen\ncicd-result state=failed/);
      const good = await step(bench, curl.replace("make test", "echo seen"));
      assert.equal(good.code, 0);
      const forged = "echo cicd-result state=succeeded; exit 1";
      assert.equal((await step(bench, curl.replace("make test", forged))).code, 1);
    },
  );

  await t.step("the action runs its script where the workflow is, with flags", async () => {
    const action = parse(await Deno.readTextFile(`${ROOT}run/action.yml`));
    const [only] = action.runs.steps;
    const inputs = {
      INPUT_RUN: "pwd; echo $GIVEN; exit 4",
      INPUT_PROJECT: "web",
      INPUT_WORKDIR: bench.directory,
      INPUT_MEMORY: "",
      INPUT_CPU: "",
      INPUT_TIMEOUT: "1m",
      INPUT_FLAGS: "--env=GIVEN=a b\n",
    };
    assert.deepEqual(Object.keys(only.env), Object.keys(inputs));
    const result = await step(bench, only.run, inputs);
    assert.equal(result.code, 4, result.stderr);
    assert.match(result.stdout, new RegExp(`^${bench.directory}\na b\n::error title=web`));
  });
});
