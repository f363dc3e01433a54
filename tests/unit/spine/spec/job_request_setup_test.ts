import * as v from "valibot";
import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { parseJobRequest, type RequestDefaults } from "@lib/spine/spec/job_request.ts";
import { setupSecretNames, specRecord } from "@lib/spine/spec/job_spec.ts";

const SHA = "0123456789abcdef0123456789abcdef01234567";

const defaults: RequestDefaults = {
  shell: "/bin/sh",
  env: {},
  limits: {},
  timeoutMs: 1_000,
  graceMs: 100,
  priority: 5,
  logMaxBytes: 1_000,
  pull: "never",
  network: "ci",
  rules: {
    containers: {
      allow: ["mounts", "capabilities"],
      mounts: ["/srv/data"],
      networks: [],
      images: ["docker.io/library/node:*"],
      network: "ci",
    },
    git: { schemes: ["https"] },
  },
};

function parse(fields: Readonly<Record<string, unknown>>, rules = defaults) {
  return parseJobRequest({ project: "web", command: ["/bin/true"], ...fields }, () => rules);
}

/** The paths of the fields that are refused. */
function refused(fields: Readonly<Record<string, unknown>>): readonly string[] {
  try {
    parse(fields);
    return [];
  } catch (error) {
    assert(error instanceof CicdError);
    assert.equal(error.code, "invalid_request");
    return error.issues.map(({ path }) => path);
  }
}

Deno.test("parseJobRequest() fills in the defaults of a container and a checkout", () => {
  const { spec } = parse({ image: "node:22", git: { url: "https://example.org/a.git" } });
  assert.deepEqual(spec.container, {
    image: "node:22",
    pull: "never",
    network: "ci",
    entrypoint: "job",
    mounts: [],
    capabilities: [],
    privileged: false,
    ulimits: {},
  });
  assert.deepEqual(spec.git, {
    url: "https://example.org/a.git",
    depth: 1,
    submodules: false,
    lfs: false,
    path: ".",
  });
});

Deno.test("parseJobRequest() reads every field around a job, and its record reads back the same", () => {
  const { spec, secrets } = parse({
    image: "node:22",
    pull: "always",
    network: "none",
    container: {
      entrypoint: "image",
      mounts: [{ source: "/srv/data/a", target: "/a", read_only: false }],
      capabilities: ["NET_RAW"],
      ulimits: { nofile: 1024 },
      shm_size: "64M",
      registry: { username: "me", password_secret: "REGISTRY" },
    },
    limits: { disk: "1G" },
    git: {
      url: "https://example.org/a.git",
      ref: "main",
      sha: SHA.toUpperCase(),
      depth: 0,
      submodules: true,
      lfs: true,
      path: "src",
      token_secret: "TOKEN",
    },
    secrets: { TOKEN: "a-token-of-git", REGISTRY: "a-password", OWN: "for-the-job" },
    files: { "a.txt": "ä", "b.sh": { base64: "Iw==", executable: true }, "c/": "" },
    artifacts: { paths: ["out/**"], when: "always" },
    caches: [{ name: "npm", paths: ["node_modules"], key_files: ["package-lock.json"] }],
  });
  assert.deepEqual(spec.container, {
    image: "node:22",
    pull: "always",
    network: "none",
    entrypoint: "image",
    mounts: [{ source: "/srv/data/a", target: "/a", readOnly: false }],
    capabilities: ["NET_RAW"],
    privileged: false,
    ulimits: { nofile: 1024 },
    registry: { username: "me", passwordSecret: "REGISTRY" },
    shmBytes: 64 * 1024 * 1024,
  });
  assert.deepEqual(spec.limits, { diskBytes: 1024 ** 3 });
  assert.equal(spec.git?.sha, SHA);
  assert.equal(spec.git?.tokenSecret, "TOKEN");
  assert.deepEqual(spec.files, [
    { path: "a.txt", content: "w6Q=", executable: false },
    { path: "b.sh", content: "Iw==", executable: true },
    { path: "c/", content: "", executable: false },
  ]);
  assert.deepEqual(spec.artifacts, { paths: ["out/**"], when: "always" });
  assert.deepEqual(spec.caches, [
    { name: "npm", paths: ["node_modules"], keyFiles: ["package-lock.json"] },
  ]);
  assert.deepEqual([...setupSecretNames(spec)].sort(), ["REGISTRY", "TOKEN"]);
  assert.deepEqual(Object.keys(secrets).sort(), ["OWN", "REGISTRY", "TOKEN"]);
  assert.deepEqual(v.parse(specRecord, JSON.parse(JSON.stringify(spec))), spec);
});

const refusals: Readonly<Record<string, [Readonly<Record<string, unknown>>, readonly string[]]>> = {
  "what goes with an image only": [
    { network: "none", pull: "always", container: {}, limits: { disk: "1G" } },
    ["pull", "network", "container", "limits.disk"],
  ],
  "an image that is not on the list": [{ image: "evil:1" }, ["image"]],
  "a container that is wide open": [
    { image: "node:22", container: { privileged: true } },
    ["container.privileged"],
  ],
  "the machine's network": [{ image: "node:22", network: "host" }, ["network"]],
  "a mount from elsewhere": [
    { image: "node:22", container: { mounts: [{ source: "/etc", target: "/e" }] } },
    ["container.mounts.0"],
  ],
  "a mount that leaves its directory": [
    { image: "node:22", container: { mounts: [{ source: "/srv/data/../x", target: "/e" }] } },
    ["container.mounts.0"],
  ],
  "a token that is no secret of the job": [
    { git: { url: "https://example.org/a.git", token_secret: "TOKEN" } },
    ["git.token_secret"],
  ],
  "a repository on this machine": [{ git: { url: "/srv/a.git" } }, ["git.url"]],
  "a transport that runs programs": [{ git: { url: "ext::sh -c id" } }, ["git.url"]],
  "a ref that is an option": [
    { git: { url: "https://example.org/a.git", ref: "--upload-pack=id" } },
    ["git.ref"],
  ],
  "artifacts outside the workspace": [{ artifacts: ["../x"] }, ["artifacts.paths.0"]],
  "no artifacts": [{ artifacts: [] }, ["artifacts.paths"]],
  "too many artifacts": [{ artifacts: { paths: Array(65).fill("a") } }, ["artifacts.paths"]],
  "too many caches": [{ caches: Array(17).fill({ name: "c", paths: ["a"] }) }, ["caches"]],
  "a cache of nothing": [{ caches: [{ name: "c", paths: [] }] }, ["caches.0.paths"]],
  "too many files": [
    { files: Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`f${index}`, ""])) },
    ["files"],
  ],
  "a file of git's own": [{ files: { ".git/config": "" } }, ["files..git/config"]],
  "an unknown field of a checkout": [
    { git: { url: "https://example.org/a.git", brnch: "x" } },
    ["git.brnch"],
  ],
};
for (const [what, [fields, paths]] of Object.entries(refusals)) {
  Deno.test(`parseJobRequest() refuses ${what}`, () => assert.deepEqual(refused(fields), paths));
}
