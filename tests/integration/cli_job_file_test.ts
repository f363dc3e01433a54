import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import type { JobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import { parseJobFile } from "@lib/features/jobs/commands/job_file.ts";
import { readJobSpec } from "@lib/features/jobs/commands/job_spec.ts";
import { flags, none, ports } from "../unit/features/jobs/commands/_job_spec.ts";

// The YAML reader looks at the environment when it is loaded: not for the unit tests.

const JOB = `project: web
script: make
shell: /bin/bash
env: { VERSION: 1.10, KEEP: yes }
limits:
  memory: 1G
  cpu: 2
labels: { a.b: 1 }
`;

Deno.test("readJobSpec() lays flags over the file", async () => {
  const { request } = await readJobSpec(
    flags(
      { env: ["KEEP=no"], "limits.cpu": 1, project: "api" },
      { file: "job.yaml", argv: ["true"] },
    ),
    ports({ "job.yaml": JOB }),
  );
  assert.deepEqual(request, {
    project: "api",
    command: ["true"],
    env: { VERSION: "1.10", KEEP: "no" },
    limits: { memory: "1G", cpu: 1 },
    labels: { "a.b": "1" },
  });
});

Deno.test("readJobSpec() takes names, versions and globs of a file as they are written", async () => {
  const { request } = await readJobSpec(
    flags(
      { "artifacts.when": "always", "git.submodules": true },
      { file: "job.yaml" },
    ),
    ports({
      "job.yaml": `command: [make]
image: 2024
container: { user: 1000, privileged: false, ulimits: { nofile: 1024 }, mounts: [{ source: /a, target: /b, read_only: true }] }
git: { url: https://example.org/a.git, ref: 1.10, sha: 1234567890123456789012345678901234567890, depth: 3, lfs: true }
files: { version: 1.10, run.sh: { base64: "MTIz", executable: true } }
artifacts: [1.0, "dist/**"]
caches: [{ name: 7, paths: [1.0], key_files: [2.0] }]
`,
    }),
  );
  assert.deepEqual(request, {
    project: "default",
    command: ["make"],
    image: "2024",
    container: {
      user: "1000",
      privileged: false,
      ulimits: { nofile: 1024 },
      mounts: [{ source: "/a", target: "/b", read_only: true }],
    },
    git: {
      url: "https://example.org/a.git",
      ref: "1.10",
      sha: "1234567890123456789012345678901234567890",
      depth: 3,
      lfs: true,
      submodules: true,
    },
    files: { version: "1.10", "run.sh": { base64: "MTIz", executable: true } },
    artifacts: { paths: ["1.0", "dist/**"], when: "always" },
    caches: [{ name: "7", paths: ["1.0"], key_files: ["2.0"] }],
  });
});

Deno.test("readJobSpec() takes a relative workdir of a file from the caller's directory", async () => {
  const { request } = await readJobSpec(
    { ...none, file: "f", workspace: false },
    ports({ f: "workdir: sub\nscript: x\n" }),
  );
  assert.equal(request["workdir"], "/home/me/sub");
});

Deno.test("readJobSpec() takes the project from flag, file, environment, in this order", async () => {
  const env = { CICD_PROJECT: "env" };
  const read = async (others: Partial<JobFlags>) =>
    (await readJobSpec({ ...none, argv: ["x"], ...others }, ports({ f: "project: file" }, env)))
      .request["project"];
  assert.equal(await read({ given: { project: "flag" }, file: "f" }), "flag");
  assert.equal(await read({ file: "f" }), "file");
  assert.equal(await read({}), "env");
});

Deno.test("readJobSpec() reports an error with the flag or the place in the file", async () => {
  const { explain } = await readJobSpec(
    flags({ "limits.cpu": 1, env: ["BAD=x"] }, { file: "job.yaml" }),
    ports({ "job.yaml": JOB }),
  );
  const error = explain(
    new CicdError("invalid_request", "Cannot", {
      issues: [
        { path: "limits.memory", message: "is wrong" },
        { path: "limits.cpu", message: "is wrong" },
        { path: "env.BAD", message: "is wrong" },
        { path: "env.VERSION", message: "is wrong" },
        { path: "labels.a.b", message: "is wrong" },
        { path: "elsewhere", message: "is wrong" },
      ],
    }),
  );
  assert.deepEqual(error.issues.map(({ path }) => path), [
    "job.yaml:6:3",
    "--limit-cpu",
    "--env BAD",
    "job.yaml:4:8",
    "job.yaml:8:11",
    "elsewhere",
  ]);
  assert.equal(error.issues[0]?.message, "limits.memory is wrong");
});

Deno.test("parseJobFile() names the place of what it cannot read", async () => {
  const issueOf = async (text: string) => {
    try {
      await parseJobFile(text, "job.yaml");
    } catch (error) {
      assert.ok(error instanceof CicdError);
      return error.issues[0];
    }
    return assert.fail("it was read");
  };
  assert.match((await issueOf("a: 1\na: 2"))?.path ?? "", /^job\.yaml:2:1$/);
  assert.equal((await issueOf("- a"))?.path, "job.yaml:1:1");
  assert.match(
    (await issueOf("secrets:\n  K: file:/etc/shadow"))?.message ?? "",
    /--secret K=SOURCE/,
  );
});

Deno.test("parseJobFile() reads JSON, also with tabs", async () => {
  const { value } = await parseJobFile(
    '{\n\t"project": "web",\n\t"command": ["a\\tb"]\n}',
    "job.json",
  );
  assert.deepEqual(value, { project: "web", command: ["a\tb"] });
});
