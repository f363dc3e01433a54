import assert from "node:assert/strict";
import { runnerCommand } from "../../../cmd/runner/commands/start_daemon.ts";

Deno.test("runnerCommand() runs the program as it was built", () => {
  assert.deepEqual(
    runnerCommand("/usr/bin/deno", "file:///src/cicd/cmd/runner/main.ts"),
    ["/usr/bin/deno", "run", "--quiet", "--allow-all", "/src/cicd/cmd/runner/main.ts"],
  );
  assert.deepEqual(
    runnerCommand("/opt/x/lib/cicd-toolkit/deno", "file:///opt/x/lib/cicd-toolkit/runner.js"),
    ["/opt/x/bin/cicd-runner"],
  );
  assert.deepEqual(runnerCommand("/opt/x/bin/cicd-runner", "file:///tmp/main.js"), [
    "/opt/x/bin/cicd-runner",
  ]);
});
