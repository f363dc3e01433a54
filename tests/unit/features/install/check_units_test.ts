import assert from "node:assert/strict";
import type { UnitFacts, UnitInstance } from "@lib/features/install/facts.ts";
import {
  checkAgents,
  checkReadiness,
  checkRunner,
  checkSecrets,
  checkUnits,
} from "@lib/features/install/check_installation.ts";
import { factsWith } from "./_facts.ts";

const INSTANCE: UnitInstance = {
  name: "cicd-runner.service",
  activeState: "inactive",
  result: "success",
  needsReload: false,
  killMode: "mixed",
};

function checkOne(overrides: Partial<UnitFacts>, instance: Partial<UnitInstance> = {}) {
  const unit: UnitFacts = {
    file: { name: "cicd-runner.service", text: "new\n" },
    installedText: "new\n",
    instances: [{ ...INSTANCE, ...instance }],
    ...overrides,
  };
  return checkUnits(factsWith({ units: [unit] }));
}

Deno.test("checkUnits() accepts the unit of this version", () => {
  assert.deepEqual(checkOne({}).map(({ status }) => status), ["ok"]);
});

Deno.test("checkUnits() reports a missing unit and a stale one", () => {
  assert.match(checkOne({ installedText: undefined })[0]?.detail ?? "", /not installed/);
  assert.match(
    checkOne({ installedText: "old\n" })[0]?.detail ?? "",
    /does not match this version/,
  );
});

Deno.test("checkUnits() says how to start a failed unit again", () => {
  const [check] = checkOne({}, { activeState: "failed", result: "exit-code" });
  assert.equal(check?.id, "failed:cicd-runner.service");
  assert.match(
    check?.fix ?? "",
    /journalctl .*reset-failed cicd-runner.service cicd-runner.socket/,
  );
});

Deno.test("checkUnits() says how to inspect and restart failed housekeeping", () => {
  const failed = { name: "cicd-clean.service", activeState: "failed", result: "exit-code" };
  const [check] = checkOne({}, failed);
  assert.match(check?.fix ?? "", /-t cicd-clean .*start cicd-clean.service$/);
});

Deno.test("checkUnits() reports a pending reload and a KillMode that leaves orphan processes", () => {
  const checks = checkOne({}, { needsReload: true, killMode: "process" });
  assert.deepEqual(checks.map(({ id }) => id.split(":")[0]), ["reload", "kill_mode"]);
});

Deno.test("checkUnits() asks nothing without a user manager", () => {
  const checks = checkUnits(factsWith({ manager: { kind: "no_systemd" } }));
  assert.deepEqual(checks.map(({ status }) => status), ["skipped"]);
});

Deno.test("checkRunner() reports a silent runner, and how to start it", () => {
  const runner = { kind: "silent", why: "connection refused" } as const;
  const withSystemd = checkRunner(factsWith({ runner }));
  assert.match(withSystemd.fix ?? "", /systemctl --user enable --now cicd-runner.socket/);
  const without = checkRunner(factsWith({ runner, manager: { kind: "no_systemd" } }));
  assert.match(without.fix ?? "", /cicd-runner daemon/);
});

Deno.test("checkRunner() reports a runner of another version", () => {
  const check = checkRunner(factsWith({ runner: { kind: "answered", version: "0.9.0" } }));
  assert.equal(check.status, "warning");
});

Deno.test("checkRunner() gives the reason of a runner that refuses to start", () => {
  const why = 'Cannot open database "/state/runner.db": it is a directory';
  const check = checkRunner(factsWith({ runner: { kind: "refuses", why } }));
  assert.equal(check.status, "problem");
  assert.match(check.detail, /refuses requests: Cannot open database/);
  assert.match(check.fix ?? "", /next request starts the runner/);
});

Deno.test("checkReadiness() tells why the runner takes no work", () => {
  const answered = { kind: "answered", version: "1.0.0" } as const;
  assert.deepEqual(checkReadiness(factsWith({ runner: answered })), []);
  const [check, ...others] = checkReadiness(
    factsWith({ runner: { ...answered, unreadyReasons: ["the disk is full: 1004K free"] } }),
  );
  assert.deepEqual(others, []);
  assert.equal(check?.status, "warning");
  assert.match(check.detail, /takes no work: the disk is full: 1004K free/);
});

Deno.test("checkSecrets() tells of secrets that the key file does not open", () => {
  const answered = { kind: "answered", version: "1.0.0" } as const;
  assert.deepEqual(checkSecrets(factsWith({ runner: answered })), []);
  const [check] = checkSecrets(factsWith({ runner: { ...answered, unreadableSecrets: 2 } }));
  assert.equal(check?.status, "problem");
  assert.match(check?.detail ?? "", /2 jobs with secrets .* another secrets\.key/);
});

Deno.test("checkAgents() names each agent that does not answer, with the reason", () => {
  const reason = "cicd-agent@web.service: failed (exit-code, status 203/EXEC)";
  const answered = { kind: "answered", version: "1.0.0" } as const;
  assert.deepEqual(checkAgents(factsWith({ runner: answered })), []);
  const runner = { ...answered, agentProblems: [{ project: "web", reason }] };
  const [check] = checkAgents(factsWith({ runner }));
  assert.deepEqual([check?.status, check?.detail], ["problem", `the agent of web: ${reason}`]);
  assert.match(check?.fix ?? "", /systemctl --user status cicd-agent@web.service/);
});
