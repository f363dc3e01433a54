import assert from "node:assert/strict";
import { judgeRunner } from "@lib/features/install/judge_runner.ts";
import { factsWith } from "./_facts.ts";

Deno.test("judgeRunner() tells a silent runner, and how to start it", () => {
  const runner = { kind: "silent", why: "connection refused" } as const;
  const withSystemd = judgeRunner(factsWith({ runner }));
  assert.match(withSystemd.fix ?? "", /systemctl --user enable --now cicd-runner.socket/);
  const without = judgeRunner(factsWith({ runner, manager: { kind: "no_systemd" } }));
  assert.match(without.fix ?? "", /cicd-runner daemon/);
});

Deno.test("judgeRunner() tells a runner of another version", () => {
  const check = judgeRunner(factsWith({ runner: { kind: "answered", version: "0.9.0" } }));
  assert.equal(check.status, "warning");
});
