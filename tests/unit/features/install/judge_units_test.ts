import assert from "node:assert/strict";
import type { UnitFacts, UnitInstance } from "@lib/features/install/facts.ts";
import { judgeUnits } from "@lib/features/install/judge_units.ts";
import { factsWith } from "./_facts.ts";

const INSTANCE: UnitInstance = {
  name: "cicd-runner.service",
  activeState: "inactive",
  result: "success",
  needsReload: false,
  killMode: "mixed",
};

function judgeOne(overrides: Partial<UnitFacts>, instance: Partial<UnitInstance> = {}) {
  const unit: UnitFacts = {
    file: { name: "cicd-runner.service", text: "new\n" },
    installedText: "new\n",
    instances: [{ ...INSTANCE, ...instance }],
    ...overrides,
  };
  return judgeUnits(factsWith({ units: [unit] }));
}

Deno.test("judgeUnits() is content with the unit of this version", () => {
  assert.deepEqual(judgeOne({}).map(({ status }) => status), ["ok"]);
});

Deno.test("judgeUnits() tells a missing unit and a stale one", () => {
  assert.match(judgeOne({ installedText: undefined })[0]?.detail ?? "", /not installed/);
  assert.match(
    judgeOne({ installedText: "old\n" })[0]?.detail ?? "",
    /not the one of this version/,
  );
});

Deno.test("judgeUnits() says how to start a failed unit again", () => {
  const [check] = judgeOne({}, { activeState: "failed", result: "exit-code" });
  assert.equal(check?.id, "failed:cicd-runner.service");
  assert.match(
    check?.fix ?? "",
    /journalctl .*reset-failed cicd-runner.service cicd-runner.socket/,
  );
});

Deno.test("judgeUnits() says of failed housekeeping how to look and to do it again", () => {
  const failed = { name: "cicd-clean.service", activeState: "failed", result: "exit-code" };
  const [check] = judgeOne({}, failed);
  assert.match(check?.fix ?? "", /-t cicd-clean .*start cicd-clean.service$/);
});

Deno.test("judgeUnits() tells a pending reload and a KillMode that leaves processes behind", () => {
  const checks = judgeOne({}, { needsReload: true, killMode: "process" });
  assert.deepEqual(checks.map(({ id }) => id.split(":")[0]), ["reload", "kill_mode"]);
});

Deno.test("judgeUnits() asks nothing without a user manager", () => {
  const checks = judgeUnits(factsWith({ manager: { kind: "no_systemd" } }));
  assert.deepEqual(checks.map(({ status }) => status), ["skipped"]);
});
