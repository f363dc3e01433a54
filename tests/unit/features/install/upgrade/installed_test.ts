import assert from "node:assert/strict";
import { CicdError } from "@lib/core/errors.ts";
import { installationOf } from "@lib/features/install/upgrade/installed.ts";

Deno.test("installationOf() finds the installation of a program in use, and of any release of it", () => {
  const home = "/home/dev/.local/lib/cicd-toolkit";
  for (const place of ["current", "releases/1.2.3-0123456789ab"]) {
    assert.deepEqual(installationOf(`${home}/${place}/lib/cicd-toolkit`), {
      prefix: "/home/dev/.local",
      home,
    });
  }
});

Deno.test("installationOf() says how everything else is upgraded", () => {
  const cases = [
    [undefined, /it is a checkout; update that, and run its install\.sh/],
    ["/usr/lib/cicd-toolkit", /it belongs to a package; .* sudo apt install .* dnf install /],
    [
      "/opt/homebrew/Cellar/cicd-toolkit/1.2.3/libexec/lib/cicd-toolkit",
      /it belongs to Homebrew; run: brew upgrade cicd-toolkit/,
    ],
    ["/tmp/unpacked/lib/cicd-toolkit", /run that of the new release, or .* --prefix/],
  ] as const;
  for (const [libDir, way] of cases) {
    assert.throws(
      () => installationOf(libDir),
      (error) => error instanceof CicdError && error.code === "usage" && way.test(error.message),
    );
  }
});
