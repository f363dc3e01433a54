import assert from "node:assert/strict";
import { parseAsync } from "@optique/core/parser";
import * as v from "valibot";
import { parse } from "yaml";
import { loadConfig } from "@lib/foundations/config/load.ts";
import { readYamlSource } from "@lib/foundations/config/yaml_source.ts";
import { parseJobFile } from "@lib/features/jobs/commands/job_file.ts";
import { jobRequestSchema } from "@lib/spine/spec/job_request.ts";
import { crossChecks } from "@lib/spine/spec/rules.ts";
import { loadCommands, makeGrammar } from "../../cmd/runner/commands/cli.ts";
import { SECTIONS } from "../../cmd/shared/config_sections.ts";
import { startGitServer } from "../support/git_server.ts";
import { RunnerBench } from "../support/runner_process.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A fenced block of a document. */
interface Block {
  readonly file: string;
  readonly language: string;
  readonly text: string;
}

/**
 * The test of a block: `run` executes it, `job` and `config` are read as the runner reads them,
 * `steps` executes the `run` of each step, `grammar` parses its commands of `cicd-runner`; any other
 * text is the reason why nothing runs it.
 */
type How = "run" | "steps" | "job" | "config" | "grammar" | `not run: ${string}`;

/** By the beginning of a block, after its file. */
const BLOCKS: Readonly<Record<string, How>> = {
  "README.md # starts everything":
    "not run: demo_test.ts runs the demo; this is a part of the rest",
  "README.md ./install.sh": "not run: the system suite installs, on a machine of its own",
  "README.md cicd-runner run -p web": "run",
  "README.md curl -N": "run",
  "README.md curl -sN": "not run: github_step_test.ts runs it",
  "README.md - run:": "steps",
  "README.md # job.yaml": "job",
  "README.md cicd-runner run --file": "grammar",
  "README.md cicd-runner submit": "grammar",
  "docs/architecture.md ": "not run: drawings",
  'docs/architecture.md "@std/': "not run: lines of deno.json",
  "docs/artifacts.md files:": "job",
  "docs/artifacts.md # C and C++": "job",
  "docs/artifacts.md # Cargo": "job",
  "docs/artifacts.md # Go": "job",
  "docs/artifacts.md # pip": "job",
  "docs/artifacts.md cicd-runner artifacts": "grammar",
  "docs/artifacts.md artifacts:": "config",
  "docs/artifacts.md Saved the cache": "not run: a job's message, compared in caches_test.ts",
  "docs/artifacts.md [setup]": "not run: lines of a log, compared in caches_test.ts",
  "docs/benchmarks.md ": "not run: a quarter of an hour; bench has tests of its own",
  "docs/checkout.md {": "job",
  "docs/terminals.md ": "grammar",
  "docs/console-commands.md console:": "config",
  "docs/cleaning.md ": "not run: an answer, whose form is tested with the command",
  "docs/cli.md cicd-runner: ": "not run: messages, compared in cli_test.ts",
  "docs/cli.md project: ": "job",
  "docs/cli.md ": "grammar",
  "docs/configuration.md cicd-runner config": "grammar",
  "docs/configuration.md [Service]": "not run: a drop-in of systemd",
  "docs/configuration.md config.yaml:": "not run: messages, compared in config_test.ts",
  "docs/configuration.md ": "config",
  "docs/console.md console:": "config",
  "docs/containers.md curl": "not run: needs an engine; the container suite runs the same job",
  "docs/containers.md containers:": "config",
  "docs/containers.md {": "job",
  "docs/deployment.md ": "not run: needs Docker, Kubernetes, Fly.io or root",
  "docs/gryt.md gryt:": "config",
  "docs/gryt.md # gryt.envrc": "not run: secrets of a deployment; gryt_test.ts reads such a file",
  "docs/llm-proxy.md # ~/.config": "config",
  "docs/llm-proxy.md cicd-runner": "grammar",
  "docs/llm-proxy.md {": "not run: a table of prices; llm_proxy_test.ts reads one",
  "docs/limits.md cicd-runner run": "grammar",
  "docs/limits.md ": "not run: changes units of the machine; the system suite does",
  "docs/operations.md ./install.sh": "not run: the system suite installs and removes",
  "docs/monitoring.md cicd-runner": "grammar",
  "docs/monitoring.md # ~/.config": "config",
  "docs/monitoring.md telemetry:": "config",
  "docs/releasing.md deno task": "not run: release_test.ts makes a release",
  "docs/releasing.md sha256sum": "not run: a person's decision",
  "docs/releasing.md minisign": "not run: release_test.ts verifies with minisign where it is",
  "docs/operations.md brew": "not run: needs Homebrew; release_test.ts evaluates the formula",
  "docs/operations.md sudo apt install": "not run: the system suite installs the package",
  "docs/operations.md cicd-runner upgrade": "grammar",
  "docs/operations.md journalctl": "not run: needs a journal; the system suite reads it",
  "docs/remote-access.md # ~/.config": "config",
  "docs/remote-access.md listen:": "config",
  "docs/remote-access.md systemctl": "grammar",
  "docs/remote-access.md cicd-runner keys": "grammar",
  "docs/remote-access.md export CICD_URL": "grammar",
  "docs/remote-access.md # Caddyfile": "not run: the configuration of another program",
  "docs/remote-access.md - name:": "not run: needs a public host; disconnect_test.ts asks the same",
  "docs/remote-access.md cicd-interrupted": "not run: a line of an answer",
  "docs/testing.md ": "not run: the suites themselves, and what they print",
};

Deno.test("every fenced block of the documentation is tested, or says why not", () => {
  const used = new Set<string>();
  for (const block of blocks()) used.add(entryOf(block).key);
  assert.deepEqual(Object.keys(BLOCKS).filter((key) => !used.has(key)), [], "no such block");
});

Deno.test("the jobs in the documentation are valid", async () => {
  for (const { file, text } of blocksOf("job")) {
    const { value } = await parseJobFile(text.replaceAll("…", "a secret"), file);
    const work = "command" in value || "script" in value ? {} : { script: "x" };
    // Given by a flag, beside the file.
    const given = { project: "web", secrets: { GITHUB_TOKEN: "from the flag" } };
    const parsed = v.safeParse(jobRequestSchema, { ...given, ...work, ...value });
    assert.ok(parsed.success, `${file}: ${JSON.stringify(parsed.issues?.[0]?.message)}\n${text}`);
    assert.deepEqual(crossChecks(parsed.output), [], file);
  }
});

Deno.test("the configurations in the documentation are valid", () => {
  const env = { XDG_RUNTIME_DIR: "/run/user/7", CREDENTIALS_DIRECTORY: "/run/credentials/x" };
  for (const { file, text } of blocksOf("config")) {
    const { root, issues } = readYamlSource(text, file);
    assert.deepEqual(issues, []);
    loadConfig({
      sections: SECTIONS,
      home: "/home/ann",
      env,
      cores: 2,
      file: { name: file, root },
    });
  }
});

Deno.test("the commands in the documentation are commands", async () => {
  const none = () => Promise.resolve([]);
  const grammar = makeGrammar(await loadCommands(), { jobIds: none, projects: none });
  let count = 0;
  for (const { file, text } of blocksOf("grammar")) {
    for (const args of commandsIn(text)) {
      count++;
      // Made by the facade around the grammar.
      if (args[0] === "help" || args[0] === "completion") continue;
      const { success } = await parseAsync(grammar, args);
      assert.ok(success, `${file}: cicd-runner ${args.join(" ")}`);
    }
  }
  assert.ok(count > 50, `only ${count} commands were found`);
});

Deno.test("the README's first jobs run as written", async () => {
  await using git = await startGitServer();
  const app = await git.repository("web");
  const makefile = "test:\n\t@echo made in $(CURDIR)\nlint:\n\t@exit 3\n";
  await app.commit({ files: { Makefile: makefile } });
  await using runner = new RunnerBench({ config: "git: { schemes: [http] }\n" });
  await runner.start();
  const project = `${runner.directory}/web`;
  const bin = `${runner.directory}/bin`;
  await Promise.all([project, bin].map((path) => Deno.mkdir(path)));
  await Deno.writeTextFile(`${project}/Makefile`, makefile);
  const main = `${Deno.execPath()} run --quiet --allow-all ${ROOT}cmd/runner/main.ts`;
  await Deno.writeTextFile(`${bin}/cicd-runner`, `#!/bin/sh\nexec ${main} "$@"\n`, { mode: 0o755 });
  await Deno.symlink(runner.socket, `${runner.directory}/cicd-runner.sock`);
  const run = async (text: string) => {
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-euo", "pipefail", "-c", text.replaceAll("https://github.com/acme/web", app.url)],
      cwd: project,
      env: {
        PATH: `${bin}:${Deno.env.get("PATH")}`,
        XDG_RUNTIME_DIR: runner.directory,
        CICD_SOCKET: runner.socket,
      },
    }).output();
    const shown = new TextDecoder().decode(stdout);
    assert.equal(code, 0, `${text}\n${shown}${new TextDecoder().decode(stderr)}`);
    return shown;
  };
  const [here, checkedOut, ...others] = blocksOf("run");
  assert.deepEqual(others, []);
  const [tested, , linted, fresh] = (await run(here?.text ?? "")).trimEnd().split("\n");
  assert.deepEqual([tested, linted], [`made in ${project}`, "exit code 2"]);
  assert.match(fresh ?? "", /^\[setup\] /);
  const answer = await run(checkedOut?.text ?? "");
  assert.match(answer, /^made in \S+\/workspaces\/1$/m);
  assert.match(answer, /\ncicd-result state=succeeded exit_code=0 .*\n$/);
  const [steps] = blocksOf("steps");
  for (const text of stepsIn(steps?.text ?? "")) assert.match(await run(text), /^made in /m);
});

function blocks(): readonly Block[] {
  const docs = [...Deno.readDirSync(`${ROOT}docs`)].map(({ name }) => `docs/${name}`)
    .filter((name) => name.endsWith(".md")).sort();
  return ["README.md", ...docs].flatMap((file) =>
    [...Deno.readTextFileSync(ROOT + file).matchAll(/^ *```(\w*)\n([\s\S]*?)^ *```$/gm)].map((
      [, language = "", text = ""],
    ) => ({ file, language, text }))
  );
}

function blocksOf(how: How): readonly Block[] {
  return blocks().filter((block) => entryOf(block).how === how);
}

/** The longest entry wins. */
function entryOf({ file, text }: Block) {
  const [key] = Object.keys(BLOCKS).filter((one) => `${file} ${text}`.startsWith(one))
    .sort((a, b) => b.length - a.length);
  assert.ok(
    key !== undefined,
    `${file}: nothing tests this block, and no reason is given:\n${text}`,
  );
  return { key, how: BLOCKS[key] };
}

/** Returns the arguments of each call of `cicd-runner`. */
function commandsIn(text: string): readonly (readonly string[])[] {
  return text.replaceAll("\\\n", " ").split("\n").flatMap((line) => {
    const words = line.matchAll(/((?:'[^']*'|"[^"]*"|[^\s'"|&#()<>;])+)|(#.*$|[|&()<>;]+)/g);
    const calls: string[][] = [];
    let call: string[] | undefined;
    for (const [, word, end] of words) {
      if (end !== undefined || word === "xargs") call = undefined;
      else if (call !== undefined) call.push((word ?? "").replaceAll(/['"]/g, ""));
      else {
        call = [];
        if (word === "cicd-runner") calls.push(call);
      }
    }
    // `xargs` adds them.
    return calls.map((args) => args.length === 1 && args[0] === "cancel" ? [...args, "ID"] : args);
  });
}

/** Returns the `run` of each step of a workflow; github_step_test.ts runs the action. */
function stepsIn(text: string): readonly string[] {
  const steps = v.parse(v.array(v.object({ run: v.optional(v.string()) })), parse(text));
  return steps.flatMap(({ run }) => run ?? []);
}
