import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import {
  agentCommand,
  installationPaths,
  programCommand,
} from "@lib/features/install/program_paths.ts";

Deno.test("installationPaths() finds a shared runtime, an executable and a checkout", () => {
  const lib = "/home/dev/.local/lib/cicd-toolkit/current/lib/cicd-toolkit";
  assert.deepEqual(
    installationPaths(
      "/home/dev/.local/lib/cicd-toolkit/releases/1-a/lib/cicd-toolkit/deno",
      `file://${lib}/runner.js`,
    ),
    {
      binDir: "/home/dev/.local/lib/cicd-toolkit/current/bin",
      libDir: lib,
      unitsDir: `${lib}/units`,
    },
  );
  assert.deepEqual(
    installationPaths("/opt/x/lib/cicd-toolkit/releases/1-a/bin/cicd-runner", "file:///tmp/r.js"),
    {
      binDir: "/opt/x/lib/cicd-toolkit/current/bin",
      libDir: "/opt/x/lib/cicd-toolkit/current/lib/cicd-toolkit",
      unitsDir: "/opt/x/lib/cicd-toolkit/current/lib/cicd-toolkit/units",
    },
  );
  assert.deepEqual(
    installationPaths("/usr/bin/deno", "file:///src/my%20tree/cmd/runner/main.ts"),
    { binDir: undefined, libDir: undefined, unitsDir: "/src/my tree/units" },
  );
});

Deno.test("programCommand() runs the program of this installation", () => {
  assert.deepEqual(
    programCommand("runner", "/usr/bin/deno", "file:///src/cicd/cmd/runner/main.ts"),
    ["/usr/bin/deno", "run", "--quiet", "--allow-all", "/src/cicd/cmd/runner/main.ts"],
  );
  assert.deepEqual(
    programCommand(
      "runner",
      "/opt/x/lib/cicd-toolkit/deno",
      "file:///opt/x/lib/cicd-toolkit/runner.js",
    ),
    ["/opt/x/bin/cicd-runner"],
  );
  assert.deepEqual(programCommand("agent", "/opt/x/bin/cicd-runner", "file:///tmp/main.js"), [
    "/opt/x/bin/cicd-agent",
  ]);
  assert.deepEqual(programCommand("runner", "/opt/x/bin/cicd-runner", "file:///tmp/main.js"), [
    "/opt/x/bin/cicd-runner",
  ]);
});

Deno.test("agentCommand() falls back to the runner's own agent, and reports that there is none", () => {
  const command = (...there: string[]) =>
    agentCommand("/opt/x/cicd-runner", "file:///tmp/main.js", (path) => there.includes(path));
  assert.deepEqual(command("/opt/x/cicd-runner", "/opt/x/cicd-agent"), ["/opt/x/cicd-agent"]);
  assert.deepEqual(command("/opt/x/cicd-runner"), ["/opt/x/cicd-runner", "agent"]);
  assert.throws(command, (error) => {
    assert(error instanceof CicdError && error.code === "agent_missing");
    assert.match(error.message, /^Cannot find cicd-agent: /);
    return true;
  });
});
