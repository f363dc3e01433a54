import assert from "node:assert/strict";
import {
  formatBuildInfo,
  installationPaths,
  parseBuildInfo,
} from "@lib/features/install/build_info.ts";

Deno.test("parseBuildInfo() reads what formatBuildInfo() writes", () => {
  const info = {
    version: "1.2.3",
    layout: "shared-runtime",
    deno: "2.9.6",
    target: "x86_64-unknown-linux-gnu",
    commit: undefined,
    date: "2026-01-01T00:00:00.000Z",
  } as const;
  assert.deepEqual(parseBuildInfo(formatBuildInfo(info)), info);
});

Deno.test("parseBuildInfo() takes nothing else", () => {
  for (const text of ["", "null", "[]", "{}", '{"version":1,"layout":"executable"}', "{"]) {
    assert.equal(parseBuildInfo(text), undefined, text);
  }
});

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
