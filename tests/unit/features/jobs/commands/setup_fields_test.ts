import assert from "node:assert/strict";
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import { crossChecks } from "@lib/spine/spec/rules.ts";
import { jobRequestSchema } from "@lib/spine/spec/job_request.ts";
import { readJobSpec } from "@lib/features/jobs/commands/job_spec.ts";
import type { JobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import { none, ports } from "./_job_spec.ts";

const EVERYTHING: JobFlags = {
  ...none,
  argv: ["npm", "test"],
  image: "node:22",
  pull: "always",
  network: "none",
  entrypoint: "image",
  user: "1000:1000",
  mounts: ["/srv/data:/data", "cache:/cache:rw"],
  capabilities: ["NET_RAW"],
  privileged: true,
  ulimits: ["nofile=1024"],
  shmSize: 64,
  limitDisk: 1024,
  registryUser: "me",
  registryPassword: "env:REGISTRY",
  gitUrl: "https://example.org/app.git",
  gitRef: "main",
  gitSha: "a".repeat(40),
  gitDepth: 0,
  gitSubmodules: true,
  gitLfs: true,
  gitPath: "src",
  gitToken: "env:TOKEN",
  artifacts: ["dist/**", "!dist/tmp"],
  artifactWhen: "always",
  caches: ["npm=node_modules, .npm:package-lock.json,x/y", "plain=target"],
};

const ENV = { TOKEN: "git-hunter2", REGISTRY: "registry-hunter2" };

Deno.test("readJobSpec() makes fields of the flags about what is around a job", async () => {
  const { request } = await readJobSpec(EVERYTHING, ports({}, ENV));
  assert.deepEqual(request, {
    project: "default",
    command: ["npm", "test"],
    image: "node:22",
    pull: "always",
    network: "none",
    container: {
      entrypoint: "image",
      user: "1000:1000",
      mounts: [
        { source: "/srv/data", target: "/data", read_only: true },
        { source: "/home/me/cache", target: "/cache", read_only: false },
      ],
      capabilities: ["NET_RAW"],
      privileged: true,
      ulimits: { nofile: 1024 },
      shm_size: 64,
      registry: { username: "me", password_secret: "CICD_REGISTRY_PASSWORD" },
    },
    limits: { disk: 1024 },
    git: {
      url: "https://example.org/app.git",
      ref: "main",
      sha: "a".repeat(40),
      depth: 0,
      submodules: true,
      lfs: true,
      path: "src",
      token_secret: "CICD_GIT_TOKEN",
    },
    artifacts: { paths: ["dist/**", "!dist/tmp"], when: "always" },
    caches: [
      { name: "npm", paths: ["node_modules", ".npm"], key_files: ["package-lock.json", "x/y"] },
      { name: "plain", paths: ["target"] },
    ],
    secrets: { CICD_GIT_TOKEN: "git-hunter2", CICD_REGISTRY_PASSWORD: "registry-hunter2" },
  });
});

Deno.test("readJobSpec() makes of every flag a field that the runner knows", async () => {
  const { request } = await readJobSpec(EVERYTHING, ports({}, ENV));
  const parsed = v.parse(jobRequestSchema, request);
  assert.deepEqual(Object.keys(parsed).sort(), Object.keys(request).sort());
  assert.deepEqual(crossChecks(parsed), []);
});

Deno.test("readJobSpec() asks for nothing around a job that no flag asks for", async () => {
  const { request } = await readJobSpec({ ...none, argv: ["x"] }, ports());
  assert.deepEqual(request, { project: "default", command: ["x"] });
});

Deno.test("readJobSpec() refuses what it cannot read, and shows no secret", async () => {
  const cases: readonly (readonly [Partial<JobFlags>, RegExp])[] = [
    [{ gitToken: "hunter2" }, /--git-token stands on the command line.*--git-token env:NAME/],
    [{ gitToken: "env:NOT_SET" }, /--git-token/],
    [{ registryUser: "me", registryPassword: "hunter2" }, /--registry-password stands/],
    [{ registryUser: "me" }, /go together/],
    [{ registryPassword: "env:REGISTRY" }, /go together/],
    [{ gitToken: "env:TOKEN", secrets: ["CICD_GIT_TOKEN=env:TOKEN"] }, /--git-token uses/],
    [{ mounts: ["/data"] }, /write --mount SOURCE:TARGET/],
    [{ mounts: ["/a:/b:rx"] }, /write --mount/],
    [{ mounts: ["/a:/b:rw:z"] }, /write --mount/],
    [{ mounts: [":/b"] }, /write --mount/],
    [{ ulimits: ["nofile"] }, /--ulimit nofile/],
    [{ ulimits: ["nofile=-1"] }, /--ulimit nofile=-1/],
    [{ caches: ["npm"] }, /--cache npm names no folder/],
    [{ caches: ["npm="] }, /names no folder/],
  ];
  for (const [flags, message] of cases) {
    await assert.rejects(
      readJobSpec({ ...none, argv: ["x"], ...flags }, ports({}, ENV)),
      (error) => {
        assert.ok(error instanceof CicdError);
        assert.equal(error.code, "usage");
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      },
    );
  }
});

Deno.test("readJobSpec() tells a refusal of the surroundings with its flag", async () => {
  const { explain } = await readJobSpec(EVERYTHING, ports({}, ENV));
  const flags = {
    "git.url": "--git",
    "git.sha": "--sha",
    "container.mounts.0.source": "--mount",
    "container.ulimits.nofile": "--ulimit",
    "artifacts.paths.1": "--artifact",
    "artifacts.when": "--artifact-when",
    "caches.0.key_files": "--cache",
    "limits.disk": "--limit-disk",
    "secrets.CICD_GIT_TOKEN": "--git-token",
    pull: "--pull",
    image: "--image",
  };
  const issues = Object.keys(flags).map((path) => ({ path, message: "is wrong" }));
  const told = explain(new CicdError("invalid_request", "Cannot", { issues }));
  assert.deepEqual(told.issues.map(({ path }) => path), Object.values(flags));
});
