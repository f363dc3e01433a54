import assert from "node:assert/strict";
import { formatMessage } from "@optique/core/message";
import { parseAsync } from "@optique/core/parser";
import type { JobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import { makeGrammar } from "../../../cmd/runner/commands/grammar.ts";

const parser = makeGrammar({
  jobIds: () => Promise.resolve([]),
  projects: () => Promise.resolve([]),
});

async function parsed(...args: readonly string[]) {
  const result = await parseAsync(parser, args);
  assert.ok(result.success, `${args.join(" ")} was refused`);
  return result.value;
}

/** The fields of a job that flags gave. */
function given({ given }: JobFlags): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined && String(value) !== ""),
  );
}

async function refused(...args: readonly string[]): Promise<boolean> {
  return !(await parseAsync(parser, args)).success;
}

Deno.test("makeGrammar() gives what follows -- to the job untouched", async () => {
  const value = await parsed("run", "-p", "web", "--", "grep", "--json", "--", "-x", "--help");
  assert.ok(value.command === "run");
  assert.deepEqual(value.argv, ["grep", "--json", "--", "-x", "--help"]);
  assert.equal(value.json, false);
  assert.deepEqual(given(value), { project: "web" });
});

Deno.test("makeGrammar() takes the flags of all commands before and after the command", async () => {
  for (const args of [["--socket", "s", "--json", "jobs"], ["jobs", "--json", "--socket=s"]]) {
    const { socket, json } = await parsed(...args);
    assert.deepEqual([socket, json], ["s", true]);
  }
});

Deno.test("makeGrammar() reads durations, sizes and lists", async () => {
  const run = await parsed("run", "-t", "1h30m", "--limit-memory", "2G", "--", "x");
  assert.ok(run.command === "run");
  assert.deepEqual(given(run), { timeout: "1h30m", "limits.memory": "2G" });
  const jobs = await parsed("jobs", "--state", "queued,running");
  assert.ok(jobs.command === "jobs");
  assert.deepEqual(jobs.states, ["queued", "running"]);
});

Deno.test("makeGrammar() reads what is around a job, for run and submit", async () => {
  const flags =
    "--git https://example.org/a.git --sha abc --depth 0 --lfs --artifact a --artifact b " +
    "--cache c=d --image i --pull never --mount /a:/b --cap-add X --disk 1G --ulimit nofile=9";
  for (const command of ["run", "submit"] as const) {
    const value = await parsed(command, ...flags.split(" "), "--", "x", "--image", "y");
    assert.ok(value.command === command);
    assert.deepEqual(value.argv, ["x", "--image", "y"]);
    assert.deepEqual(given(value), {
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
  }
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
      ["cancel"],
      ["show"],
      ["show", ""],
      ["show", "a", "b"],
      ["config"],
      ["attach", "web"],
      [],
    ]
  ) assert.ok(await refused(...args), args.join(" "));
});

Deno.test("makeGrammar() names the flag whose value is missing or no good", async () => {
  const problem = async (...args: readonly string[]) => {
    const result = await parseAsync(parser, args);
    assert.ok(!result.success);
    return formatMessage(result.error);
  };
  assert.match(await problem("keys", "create", "--name", "x"), /--scope submit, read or admin/);
  const create = ["keys", "create", "--name", "x", "--scope", "read"];
  assert.match(await problem(...create, "--project", "a b"), /--project.*"a b" contains/);
  assert.match(await problem("run", "-p", "../x", "--", "true"), /--project.*begins with/);
});
