import assert from "node:assert/strict";
import { checkSystemd } from "@lib/features/install/check_machine.ts";
import { factsWith, MANAGER } from "./_facts.ts";

function statusOf(id: string, overrides: Parameters<typeof factsWith>[0]): string | undefined {
  return checkSystemd(factsWith(overrides)).find((check) => check.id === id)?.status;
}

Deno.test("checkSystemd() finds nothing on a sound machine", () => {
  const checks = checkSystemd(factsWith({}));
  assert.deepEqual(checks.filter((check) => check.status !== "ok"), []);
});

Deno.test("checkSystemd() skips everything on a machine without systemd", () => {
  const checks = checkSystemd(factsWith({ manager: { kind: "no_systemd" } }));
  assert.deepEqual(checks.map(({ status }) => status), ["skipped"]);
});

Deno.test("checkSystemd() says why the user manager cannot be reached", () => {
  const manager = { kind: "unreachable", why: "Failed to connect to bus" } as const;
  const [check] = checkSystemd(factsWith({ manager }));
  assert.equal(check?.status, "problem");
  assert.match(check?.detail ?? "", /Failed to connect to bus/);
});

Deno.test("checkSystemd() reports lingering that is off, and skips it where it is unknown", () => {
  assert.equal(statusOf("linger", { lingers: false }), "problem");
  assert.equal(statusOf("linger", { lingers: undefined }), "skipped");
});

Deno.test("checkSystemd() names the limits that are not enforced", () => {
  const manager = { ...MANAGER, controllers: ["cpu"] };
  const check = checkSystemd(factsWith({ manager })).find(({ id }) => id === "controllers");
  assert.equal(check?.status, "warning");
  assert.match(check?.detail ?? "", /memory, pids; memory, task limits are not enforced/);
});

Deno.test("checkSystemd() warns of the lingering bug in the affected versions, as distributions write them", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["252.39-1~deb12u2", "ok"],
    ["255.4-1ubuntu8.17", "warning"],
    ["256.2", "warning"],
    ["256.3", "ok"],
    ["257", "ok"],
    ["v255-rc1", "warning"],
    ["v257-rc1", "ok"],
    ["unknown", "ok"],
  ];
  for (const [version, status] of cases) {
    assert.equal(statusOf("linger_bug", { manager: { ...MANAGER, version } }), status, version);
  }
});

Deno.test("checkSystemd() calls a systemd too old for append: a problem", () => {
  assert.equal(statusOf("systemd", { manager: { ...MANAGER, version: "239" } }), "problem");
  assert.equal(statusOf("systemd", { manager: { ...MANAGER, version: "unknown" } }), "ok");
});

Deno.test("checkSystemd() wants the runtime directory to be the user's alone", () => {
  const path = "/run/user/1000";
  const found = { kind: "found", path, mode: 0o700, uid: 1000 } as const;
  assert.equal(statusOf("runtime_dir", { runtimeDir: undefined }), "problem");
  assert.equal(statusOf("runtime_dir", { runtimeDir: { kind: "missing", path } }), "problem");
  assert.equal(statusOf("runtime_dir", { runtimeDir: { ...found, mode: 0o755 } }), "problem");
  assert.equal(statusOf("runtime_dir", { runtimeDir: { ...found, uid: 0 } }), "problem");
});
