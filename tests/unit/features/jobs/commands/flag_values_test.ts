import assert from "node:assert/strict";
import * as v from "valibot";
import { CicdError } from "@lib/core/errors.ts";
import { crossChecks } from "@lib/spine/spec/rules.ts";
import { jobRequestSchema } from "@lib/spine/spec/job_request.ts";
import { readJobSpec } from "@lib/features/jobs/commands/job_spec.ts";
import type { JobFlags } from "@lib/features/jobs/commands/grammar_job_flags.ts";
import { flags, ports } from "./_job_spec.ts";

const EVERYTHING = flags({
  image: "node:22",
  pull: "always",
  network: "none",
  "container.entrypoint": "image",
  "container.user": "1000:1000",
  "container.mounts": ["/srv/data:/data", "cache:/cache:rw"],
  "container.capabilities": ["NET_RAW"],
  "container.privileged": true,
  "container.ulimits": ["nofile=1024"],
  "container.shm_size": "64",
  "limits.disk": "1024",
  "container.registry.username": "me",
  "container.registry.password_secret": "env:REGISTRY",
  "git.url": "https://example.org/app.git",
  "git.ref": "main",
  "git.sha": "a".repeat(40),
  "git.depth": 0,
  "git.tags": true,
  "git.submodules": true,
  "git.lfs": true,
  "git.path": "src",
  "git.token_secret": "env:TOKEN",
  "artifacts.paths": ["dist/**", "!dist/tmp"],
  "artifacts.when": "always",
  caches: ["npm=node_modules, .npm:package-lock.json,x/y", "plain=target"],
}, { argv: ["npm", "test"] });

const USER = "container.registry.username";
const PASSWORD = "container.registry.password_secret";
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
      shm_size: "64",
      registry: { username: "me", password_secret: "CICD_REGISTRY_PASSWORD" },
    },
    limits: { disk: "1024" },
    git: {
      url: "https://example.org/app.git",
      ref: "main",
      sha: "a".repeat(40),
      depth: 0,
      tags: true,
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

Deno.test("readJobSpec() turns every flag into a field that the runner knows", async () => {
  const { request } = await readJobSpec(EVERYTHING, ports({}, ENV));
  const parsed = v.parse(jobRequestSchema, request);
  assert.equal(Object.keys(parsed).length, Object.keys(request).length);
  assert.deepEqual(crossChecks(parsed), []);
});

Deno.test("readJobSpec() asks for nothing around a job that no flag asks for", async () => {
  const { request } = await readJobSpec(flags({}), ports());
  assert.deepEqual(request, { project: "default", command: ["x"] });
});

Deno.test("readJobSpec() refuses what it cannot read, and shows no secret", async () => {
  const cases: readonly (readonly [JobFlags["given"], RegExp])[] = [
    [
      { "git.token_secret": "hunter2" },
      /--git-token is on the command line.*--git-token env:NAME/,
    ],
    [{ "git.token_secret": "env:NOT_SET" }, /--git-token/],
    [{ [USER]: "me", [PASSWORD]: "hunter2" }, /--registry-password is/],
    [{ [USER]: "me" }, /go together/],
    [{ [PASSWORD]: "env:REGISTRY" }, /go together/],
    [
      { "git.token_secret": "env:TOKEN", secrets: ["CICD_GIT_TOKEN=env:TOKEN"] },
      /--git-token uses/,
    ],
    [{ "container.mounts": ["/data"] }, /write --mount SOURCE:TARGET/],
    [{ "container.mounts": ["/a:/b:rx"] }, /write --mount/],
    [{ "container.mounts": ["/a:/b:rw:z"] }, /write --mount/],
    [{ "container.mounts": [":/b"] }, /write --mount/],
    [{ "container.ulimits": ["nofile"] }, /--ulimit nofile/],
    [{ "container.ulimits": ["nofile=-1"] }, /--ulimit nofile=-1/],
    [{ caches: ["npm"] }, /--cache npm names no directory/],
    [{ caches: ["npm="] }, /names no directory/],
  ];
  for (const [given, message] of cases) {
    await assert.rejects(
      readJobSpec(flags(given), ports({}, ENV)),
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

Deno.test("readJobSpec() reports an error of the setup fields with its flag", async () => {
  const { explain } = await readJobSpec(EVERYTHING, ports({}, ENV));
  const told = {
    "git.url": "--git",
    "git.sha": "--sha",
    "container.mounts.0.source": "--mount",
    "container.ulimits.nofile": "--ulimit nofile",
    "artifacts.paths.1": "--artifact",
    "artifacts.when": "--artifact-when",
    "caches.0.key_files": "--cache",
    "limits.disk": "--limit-disk",
    "secrets.CICD_GIT_TOKEN": "--git-token",
    pull: "--pull",
    image: "--image",
  };
  const issues = Object.keys(told).map((path) => ({ path, message: "is wrong" }));
  const error = explain(new CicdError("invalid_request", "Cannot", { issues }));
  assert.deepEqual(error.issues.map(({ path }) => path), Object.values(told));
});
