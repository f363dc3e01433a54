import assert from "node:assert/strict";
import * as fc from "fast-check";
import { toJobView } from "@lib/features/jobs/job_view.ts";
import { toSpecView } from "@lib/spine/spec/job_spec.ts";
import { makeJob, makeSpec } from "../../../support/job_fixtures.ts";

Deno.test("toSpecView() shows what is around a job in the names of the request", () => {
  const view = toSpecView(makeSpec({
    container: {
      image: "node:22",
      pull: "missing",
      network: "none",
      entrypoint: "job",
      mounts: [{ source: "/a", target: "/b", readOnly: true }],
      capabilities: ["NET_RAW"],
      privileged: false,
      ulimits: { nofile: 9 },
      shmBytes: 64,
      registry: { username: "me", passwordSecret: "PASSWORD" },
    },
    git: {
      url: "https://example.org/app.git",
      ref: "main",
      depth: 1,
      submodules: false,
      lfs: false,
      path: ".",
      tokenSecret: "TOKEN",
    },
    artifacts: { paths: ["dist/**"], when: "always" },
    caches: [{ name: "npm", paths: ["node_modules"], keyFiles: ["package-lock.json"] }],
  }));
  assert.equal(view["image"], "node:22");
  assert.equal(view["pull"], "missing");
  assert.equal(view["network"], "none");
  assert.deepEqual(view["container"], {
    entrypoint: "job",
    mounts: [{ source: "/a", target: "/b", read_only: true }],
    capabilities: ["NET_RAW"],
    privileged: false,
    ulimits: { nofile: 9 },
    shm_size_bytes: 64,
    registry: { username: "me", password_secret: "PASSWORD" },
  });
  assert.deepEqual(view["git"], {
    url: "https://example.org/app.git",
    ref: "main",
    depth: 1,
    submodules: false,
    lfs: false,
    path: ".",
    token_secret: "TOKEN",
  });
  assert.deepEqual(view["artifacts"], { paths: ["dist/**"], when: "always" });
  assert.deepEqual(view["caches"], [
    { name: "npm", paths: ["node_modules"], key_files: ["package-lock.json"] },
  ]);
});

Deno.test("toSpecView() shows the size of a file, never its content", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    const files = [{ path: "a/b", content: bytes.toBase64(), executable: true }];
    assert.deepEqual(toSpecView(makeSpec({ files }))["files"], [
      { path: "a/b", size_bytes: bytes.length, executable: true },
    ]);
  }));
});

Deno.test("toSpecView() leaves out what the job does not have", () => {
  const view = toSpecView(makeSpec());
  for (const name of ["image", "pull", "network", "container", "git", "files", "artifacts"]) {
    assert.ok(!(name in view), name);
  }
});

Deno.test("toJobView() shows the limit on disk", () => {
  const job = makeJob({ spec: makeSpec({ limits: { diskBytes: 1024 } }) });
  assert.equal(toJobView(job).limits.disk_bytes, 1024);
  assert.equal(toJobView(makeJob()).limits.disk_bytes, null);
});
