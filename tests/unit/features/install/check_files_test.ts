import assert from "node:assert/strict";
import type { GuardedPath } from "@lib/features/install/facts.ts";
import { checkFiles } from "@lib/features/install/check_installation.ts";
import { factsWith } from "./_facts.ts";

function statusOf(role: GuardedPath["role"], mode: number, uid = 1000): string | undefined {
  const facts = { kind: "found", path: "/p", mode, uid } as const;
  return checkFiles(factsWith({ paths: [{ role, facts }] }))[0]?.status;
}

Deno.test("checkFiles() lets only the owner access state, socket and keys", () => {
  for (const role of ["state_dir", "socket", "key_file"] as const) {
    assert.equal(statusOf(role, 0o700), "ok", role);
    assert.equal(statusOf(role, 0o640), "problem", role);
    assert.equal(statusOf(role, 0o604), "problem", role);
    assert.equal(statusOf(role, 0o600, 0), "problem", role);
  }
});

Deno.test("checkFiles() lets others read the configuration with a warning, never write it", () => {
  assert.equal(statusOf("config_file", 0o600), "ok");
  assert.equal(statusOf("config_file", 0o644), "warning");
  assert.equal(statusOf("config_file", 0o664), "problem");
  assert.equal(statusOf("config_file", 0o644, 0), "ok");
  assert.equal(statusOf("config_file", 0o646, 0), "problem");
  assert.equal(statusOf("config_file", 0o600, 33), "problem");
});

Deno.test("checkFiles() skips missing paths", () => {
  const facts = { kind: "missing", path: "/p" } as const;
  const [check] = checkFiles(factsWith({ paths: [{ role: "config_file", facts }] }));
  assert.equal(check?.status, "skipped");
});

Deno.test("checkFiles() compares the free space with the floor", () => {
  const statusAt = (freeBytes: number | undefined) =>
    checkFiles(factsWith({ disk: { path: "/state", freeBytes, floorBytes: 100 } })).at(-1)?.status;
  assert.equal(statusAt(99), "problem");
  assert.equal(statusAt(150), "warning");
  assert.equal(statusAt(200), "ok");
  assert.equal(statusAt(undefined), "skipped");
});

Deno.test("checkFiles() reports a state directory that its owner cannot write", () => {
  assert.equal(statusOf("state_dir", 0o500), "problem");
});
