import assert from "node:assert/strict";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import { checkContainment } from "@lib/features/install/check_containment.ts";
import { MANAGER } from "./_facts.ts";

const NO_SYSTEMD = { manager: { kind: "no_systemd" } } as const;

function subject(isAllowed: boolean, over: { executor?: "direct"; contain?: "namespace" } = {}) {
  const run: RunCommand = (argv) =>
    Promise.resolve({
      code: 0,
      signal: undefined,
      stdout: isAllowed || argv[0] === "/bin/sh" ? "=13\nlisted\n" : "",
      stderr: isAllowed ? "" : "refused",
      truncated: false,
    });
  const { signal } = new AbortController();
  return {
    executor: "auto",
    contain: "auto",
    options: { run, isThere: () => true, uid: 1000, signal },
    ...over,
  } as const;
}

Deno.test("checkContainment() has nothing to say where jobs are units", async () => {
  assert.deepEqual(await checkContainment({ manager: MANAGER }, subject(true)), []);
  const direct = await checkContainment(
    { manager: MANAGER },
    subject(true, { executor: "direct" }),
  );
  assert.equal(direct[0]?.status, "ok");
});

Deno.test("checkContainment() tells the way of jobs without systemd", async () => {
  const [allowed] = await checkContainment(NO_SYSTEMD, subject(true));
  assert.match(`${allowed?.status}: ${allowed?.detail}`, /^ok: .*user namespace.*sudo/);
  const [refused] = await checkContainment(NO_SYSTEMD, subject(false));
  assert.match(
    `${refused?.status}: ${refused?.detail}`,
    /^warning: .*variables: refused; .*outlives/,
  );
  const [wanted] = await checkContainment(NO_SYSTEMD, subject(false, { contain: "namespace" }));
  assert.match(`${wanted?.status}: ${wanted?.detail}`, /^problem: Cannot contain jobs.*refused/);
});
