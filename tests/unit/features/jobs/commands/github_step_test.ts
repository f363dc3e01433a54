import assert from "node:assert/strict";
import { withStepVariables } from "@lib/features/jobs/commands/github_step.ts";
import { StepLog } from "@lib/features/jobs/commands/step_log.ts";

const NO_FLAGS = { socket: undefined, url: undefined, config: undefined, json: false };

/** Writes a log through a step, in chunks of a size. */
function written(text: string, size = text.length): string {
  const log = new StepLog();
  const bytes = new TextEncoder().encode(text);
  let result = "";
  for (let at = 0; at < bytes.length; at += size) {
    result += new TextDecoder().decode(log.push(bytes.subarray(at, at + size)));
  }
  return result + log.end();
}

const SETUP =
  /^::group::Setup\n::stop-commands::([0-9a-f-]{36})\n([^]*?)::\1::\n::endgroup::\n([^]*)$/;

Deno.test("StepLog.push() puts the setup into a group without workflow commands, however it is cut", () => {
  const setup = "[setup] Checked out 1234: ##[add-path]/tmp\n[setup] Wrote 1 file\n";
  const output = "::notice::mine\n[setup] not a setup\nend";
  for (const size of [1, 3, 9, 1_000]) {
    const [, , inside, after] = SETUP.exec(written(setup + output, size)) ?? [];
    assert.equal(inside, setup, `chunks of ${size}`);
    assert.equal(after, `${output}\n`, `chunks of ${size}`);
  }
});

Deno.test("StepLog.push() passes on a log without a setup as it is", () => {
  assert.equal(written("[set\n::group::mine\n", 2), "[set\n::group::mine\n");
  assert.equal(written("[setup]", 3), "[setup]\n");
  assert.equal(written(""), "");
});

Deno.test("StepLog.end() closes the group of a setup that failed", () => {
  const [, , inside, after] = SETUP.exec(written("[setup] no such repository\n")) ?? [];
  assert.deepEqual([inside, after], ["[setup] no such repository\n", ""]);
});

Deno.test("StepLog.end() resumes the workflow commands that the job has stopped", () => {
  assert.equal(written("::stop-commands::abc\nx\n", 5), "::stop-commands::abc\nx\n::abc::\n");
  assert.equal(written("  ::Stop-Commands::abc\nx"), "  ::Stop-Commands::abc\nx\n::abc::\n");
  assert.equal(written("a ##[stop-commands]abc\n"), "a ##[stop-commands]abc\n::abc::\n");
  const resumed = "::stop-commands::abc\n::stop-commands::def\n::abc::\n";
  assert.equal(written(resumed), resumed);
});

Deno.test("withStepVariables() gives a job on the host the step's variables, tokens as secrets", () => {
  const env = {
    CI: "true",
    GITHUB_OUTPUT: "/tmp/out",
    GITHUB_REF: "refs/heads/main",
    GITHUB_TOKEN: "ghs_0123456789",
    RUNNER_TEMP: "/tmp",
    RUNNER_TRACKING_ID: "github_1",
    HOME: "/root",
  };
  const request = { command: ["true"], env: { GITHUB_REF: "mine" } };
  assert.deepEqual(withStepVariables(request, { env, flags: NO_FLAGS }), {
    command: ["true"],
    env: { CI: "true", GITHUB_OUTPUT: "/tmp/out", GITHUB_REF: "mine", RUNNER_TEMP: "/tmp" },
    secrets: { GITHUB_TOKEN: "ghs_0123456789" },
  });
  const inContainer = { ...request, image: "node:22" };
  assert.equal(withStepVariables(inContainer, { env, flags: NO_FLAGS }), inContainer);
  const flags = { ...NO_FLAGS, url: "https://elsewhere" };
  assert.equal(withStepVariables(request, { env, flags }), request);
});
