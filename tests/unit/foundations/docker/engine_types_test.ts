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
