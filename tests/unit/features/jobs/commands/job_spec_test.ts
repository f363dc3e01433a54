import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import type { JobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import type { JobSpecPorts } from "@lib/features/jobs/commands/flag_values.ts";
import { readJobSpec } from "@lib/features/jobs/commands/job_spec.ts";
import { flags, none, ports } from "./_job_spec.ts";

Deno.test("readJobSpec() makes a request of the flags", async () => {
  const { request } = await readJobSpec(
    flags({
      env: ["A=1=2", "PASSED"],
      labels: ["l="],
      "limits.memory": "1K",
      timeout: "90.5",
      "retries.max": 2,
      "retries.on": ["lost"],
      cancel_in_progress: true,
      concurrency_group: "deploy",
      errexit: true,
    }, { argv: ["make", "--", "test"] }),
    ports({}, { PASSED: "on" }),
  );
  assert.deepEqual(request, {
    project: "default",
    command: ["make", "--", "test"],
    env: { A: "1=2", PASSED: "on" },
    labels: { l: "" },
    limits: { memory: "1K" },
    retries: { max: 2, on: ["lost"] },
    timeout: "90.5",
    concurrency_group: "deploy",
    cancel_in_progress: true,
    errexit: false,
  });
});

Deno.test("readJobSpec() starts a job in the caller's directory unless it has a workspace", async () => {
  const here = { argv: ["x"], workspace: false };
  const workdir = async (given: JobFlags, others: Partial<JobSpecPorts> = {}) =>
    (await readJobSpec(given, { ...ports(), ...others }))
      .request["workdir"];
  assert.equal(await workdir(flags({}, here)), "/home/me");
  assert.equal(await workdir(flags({ workdir: "." }, here)), "/home/me");
  assert.equal(await workdir(flags({ workdir: "a/../b" }, here)), "/home/me/b");
  assert.equal(await workdir(flags({ workdir: "/srv" }, here)), "/srv");
  assert.equal(await workdir(flags({}, { ...here, workspace: true })), undefined);
  assert.equal(await workdir(flags({}, here), { isRemote: true }), undefined);
  assert.equal(await workdir(flags({ image: "node:22" }, here)), undefined);
  assert.equal(await workdir(flags({ "artifacts.paths": ["out"] }, here)), undefined);
  assert.equal(await workdir(flags({ "git.url": "https://h/r.git", workdir: "." }, here)), ".");
});

Deno.test("readJobSpec() refuses what makes no job", async () => {
  const cases: readonly (readonly [JobFlags, RegExp])[] = [
    [none, /there is nothing to run/],
    [flags({ script: "-" }), /give one/],
    [flags({ env: ["NOT_SET"] }), /not set/],
    [flags({ env: ["=x"] }), /no name/],
    [flags({ labels: ["l"] }), /no value/],
    [flags({ script: "missing" }, {}), /Cannot read "missing" of --script: no such file/],
  ];
  for (const [given, message] of cases) {
    await assert.rejects(readJobSpec(given, ports()), { code: "usage", message });
  }
});

Deno.test("readJobSpec() takes no secret from the command line, nor shows it", async () => {
  for (const flag of ["TOKEN=hunter2", "TOKEN=", "TOKEN=file", "hunter2"]) {
    await assert.rejects(
      readJobSpec(flags({ secrets: [flag] }), ports()),
      (error) => {
        assert.ok(error instanceof CicdError);
        assert.equal(error.code, "usage");
        assert.ok(!JSON.stringify([error.message, error.issues]).includes("hunter2"));
        return true;
      },
    );
  }
});

Deno.test("readJobSpec() reads secrets from the environment and standard input", async () => {
  const { request } = await readJobSpec(
    flags({ secrets: ["A=env:B", "C=-"] }),
    ports({}, { B: "b" }),
  );
  assert.deepEqual(request["secrets"], { A: "b", C: "from standard input" });
});
