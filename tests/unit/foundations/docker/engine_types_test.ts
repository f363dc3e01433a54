import assert from "node:assert/strict";
import * as v from "valibot";
import { engineFacts } from "@lib/foundations/docker/engine_types.ts";

const INFO = { ServerVersion: "1", Driver: "overlay", CgroupDriver: "systemd" };

Deno.test("engineFacts recognizes a rootless engine by either of its two marks", () => {
  const rootless = (more: Readonly<Record<string, unknown>>) =>
    v.parse(engineFacts, { ...INFO, ...more }).rootless;
  assert.equal(rootless({ SecurityOptions: ["name=seccomp,profile=default"] }), false);
  assert.equal(rootless({ SecurityOptions: ["name=seccomp", "name=rootless"] }), true);
  assert.equal(rootless({ SecurityOptions: ["name=seccomp"], Rootless: true }), true);
  assert.equal(rootless({ SecurityOptions: null, Rootless: false }), false);
});

Deno.test("engineFacts tells which ids an engine maps its containers' root to", () => {
  const root = (SecurityOptions: readonly string[], DockerRootDir: string) =>
    v.parse(engineFacts, { ...INFO, SecurityOptions, DockerRootDir }).root;
  const mapped = "/var/lib/docker/165536.165537";
  assert.deepEqual(root(["name=userns"], mapped), { uid: 165536, gid: 165537 });
  assert.deepEqual(root(["name=seccomp"], mapped), { uid: 0, gid: 0 });
  assert.deepEqual(root(["name=userns"], "/var/lib/docker"), { uid: 0, gid: 0 });
});
