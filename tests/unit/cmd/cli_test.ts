import assert from "node:assert/strict";
import { formatMessage } from "@optique/core/message";
import { parseAsync } from "@optique/core/parser";
import { type JobFlags, jobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import { commands } from "@lib/features/jobs/commands.ts";
import { jobs } from "@lib/features/jobs/commands/jobs.ts";
import { loadCommands, makeGrammar } from "../../../cmd/runner/commands/cli.ts";
import { answer, fakeRunner, jobAnswer, printedBy } from "../api/client/_fakes.ts";

const completer = {
  jobIds: () => Promise.resolve([]),
  projects: () => Promise.resolve([]),
};

async function grammar() {
  return makeGrammar(await loadCommands(), completer);
}

async function parsed(...args: readonly string[]) {
  const result = await parseAsync(await grammar(), args);
  assert.ok(result.success, `${args.join(" ")} was refused`);
  return result.value;
}

async function parsedJob(...args: readonly string[]) {
  const result = await parseAsync(jobFlags(completer), args);
  assert.ok(result.success, `${args.join(" ")} was refused`);
  return result.value;
}

async function refused(...args: readonly string[]): Promise<boolean> {
  return !(await parseAsync(await grammar(), args)).success;
}

/** The fields of a job that flags gave. */
function fieldsOf({ given }: JobFlags): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined && String(value) !== ""),
  );
}

Deno.test("makeGrammar() gives what follows -- to the job untouched", async () => {
  const args = ["-p", "web", "--", "grep", "--json", "--", "-x", "--help"];
  const flags = await parsedJob(...args);
  assert.deepEqual(flags.argv, ["grep", "--json", "--", "-x", "--help"]);
  assert.deepEqual(fieldsOf(flags), { project: "web" });
  assert.equal((await parsed("run", ...args)).json, false);
});

Deno.test("makeGrammar() takes the flags of all commands before and after the command", async () => {
  for (const args of [["--socket", "s", "--json", "jobs"], ["jobs", "--json", "--socket=s"]]) {
    const { socket, json } = await parsed(...args);
    assert.deepEqual([socket, json], ["s", true]);
  }
});

Deno.test("the commands read durations, sizes and lists", async () => {
  const run = await parsedJob("-t", "1h30m", "--limit-memory", "2G", "--", "x");
  assert.deepEqual(fieldsOf(run), { timeout: "1h30m", "limits.memory": "2G" });
  const { runner, sent } = fakeRunner(() => answer(200, { jobs: [], next_cursor: null }));
  await printedBy(jobs, ["--state", "queued, running"], { runner, now: 0 });
  assert.equal(sent[0]?.path, "/v1/jobs?state=queued%2Crunning&limit=50");
});

Deno.test("jobs and cancel select jobs by label", async () => {
  const open = jobAnswer({ id: "a", state: "running" });
  const { runner, sent } = fakeRunner(({ path }) =>
    path.startsWith("/v1/jobs?")
      ? answer(200, { jobs: [open], next_cursor: null })
      : answer(202, { ...open, cancelling: true })
  );
  const at = { runner, now: 0 };
  const labels = ["--label", "run=7", "-l", "os=a=b"];
  await printedBy(jobs, labels, at);
  const [cancel] = commands.filter(({ name }) => name === "cancel");
  assert.ok(cancel);
  const lines = await printedBy(cancel, [...labels, "-p", "web"], at);
  assert.deepEqual(lines, ["job a is being cancelled"]);
  assert.deepEqual(sent.map(({ method = "GET", path }) => `${method} ${path}`), [
    "GET /v1/jobs?label=run%3D7&label=os%3Da%3Db&limit=50",
    "GET /v1/jobs?project=web&state=queued%2Cstarting%2Crunning&label=run%3D7&label=os%3Da%3Db&limit=500",
    "POST /v1/jobs/a/cancel",
  ]);
  for (const args of [[], ["a", "--label", "b=c"], ["a", "-p", "web"]]) {
    await assert.rejects(printedBy(cancel, args, at), { code: "usage" });
  }
  assert.ok(await refused("jobs", "--label", "run"));
});

Deno.test("jobFlags() reads what is around a job", async () => {
  const flags =
    "--git https://example.org/a.git --sha abc --depth 0 --lfs --artifact a --artifact b " +
    "--cache c=d --image i --pull never --mount /a:/b --cap-add X --disk 1G --ulimit nofile=9";
  const args = [...flags.split(" "), "--", "x", "--image", "y"];
  const value = await parsedJob(...args);
  assert.deepEqual(value.argv, ["x", "--image", "y"]);
  assert.deepEqual(fieldsOf(value), {
    "git.url": "https://example.org/a.git",
    "git.sha": "abc",
    "git.depth": 0,
    "git.lfs": true,
    "artifacts.paths": ["a", "b"],
    caches: ["c=d"],
    image: "i",
    pull: "never",
    "container.mounts": ["/a:/b"],
    "container.capabilities": ["X"],
    "container.ulimits": ["nofile=9"],
    "limits.disk": "1G",
  });
  for (const command of ["run", "submit"]) await parsed(command, ...args);
});

Deno.test("makeGrammar() refuses what it does not know", async () => {
  for (
    const args of [
      ["run", "--timeout", "soon", "--", "x"],
      ["run", "--limit-memory", "much", "--", "x"],
      ["run", "--priority", "10", "--", "x"],
      ["run", "--pull", "sometimes", "--", "x"],
      ["run", "--entrypoint", "mine", "--", "x"],
      ["run", "--artifact-when", "never", "--", "x"],
      ["run", "--depth", "-1", "--", "x"],
      ["jobs", "--state", "sleeping"],
      ["jobs", "--limit", "0"],
      ["wait"],
      ["show"],
      ["show", ""],
      ["show", "a", "b"],
      ["config"],
      [],
    ]
  ) assert.ok(await refused(...args), args.join(" "));
});

Deno.test("makeGrammar() names the flag whose value is missing or no good", async () => {
  const problem = async (...args: readonly string[]) => {
    const result = await parseAsync(await grammar(), args);
    assert.ok(!result.success);
    return formatMessage(result.error);
  };
  assert.match(
    await problem("keys", "create", "--name", "x"),
    /--scope submit, read, terminal or admin/,
  );
  const create = ["keys", "create", "--name", "x", "--scope", "read"];
  assert.match(await problem(...create, "--project", "a b"), /--project.*"a b" contains/);
  assert.match(await problem("run", "-p", "../x", "--", "true"), /--project.*begins with/);
});
