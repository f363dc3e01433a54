import assert from "node:assert/strict";
import { checkOf, summaryOf } from "@lib/features/install/checks.ts";
import type { EngineAnswer } from "@lib/features/install/facts.ts";
import { checkTools } from "@lib/features/install/check_machine.ts";
import { factsWith } from "./_facts.ts";

const ENGINE: EngineAnswer & { kind: "answers" } = {
  kind: "answers",
  address: "unix:///run/docker.sock",
  podman: false,
  version: "24.0.5",
  rootless: false,
  cgroupVersion: "2",
  storageDriver: "overlay2",
  enforces: { cpu: true, memory: true, swap: true, tasks: true },
};

function checked(engine: EngineAnswer) {
  return checkTools(factsWith({ engine })).filter(({ id }) => id.startsWith("container_"));
}

Deno.test("checkTools() treats a missing tool as no problem", () => {
  const checks = checkTools(
    factsWith({ engine: { kind: "none" }, git: undefined, gitLfs: undefined }),
  );
  assert.deepEqual(checks.map(({ id, status }) => `${id} ${status}`), [
    "container_engine ok",
    "git ok",
    "git_lfs ok",
  ]);
});

Deno.test("checkTools() warns of a silent engine only if it was named", () => {
  const why = "Cannot reach the container engine: permission denied";
  const [found] = checked({ kind: "silent", why, isNamed: false });
  assert.equal(found?.status, "ok");
  assert.match(found?.detail ?? "", /permission denied.*only jobs with an image/);
  const [named] = checked({ kind: "silent", why, isNamed: true });
  assert.equal(named?.status, "warning");
  assert.match(named?.fix ?? "", /containers\.host/);
});

Deno.test("checkTools() describes the engine and the limits it cannot enforce", () => {
  const [engine, limits] = checked(ENGINE);
  assert.equal(
    engine?.detail,
    "Docker 24.0.5 at unix:///run/docker.sock, run by root, cgroup v2, storage overlay2",
  );
  assert.equal(limits?.status, "ok");
  const [podman, few] = checked({
    ...ENGINE,
    podman: true,
    rootless: true,
    cgroupVersion: "",
    enforces: { ...ENGINE.enforces, memory: false, tasks: false },
  });
  assert.match(podman?.detail ?? "", /^Podman 24\.0\.5 at \S+, rootless, storage overlay2$/);
  assert.equal(few?.status, "warning");
  assert.match(few?.detail ?? "", /does not enforce memory, task limits/);
});

Deno.test("checkTools() warns of a git that cannot ignore the account's settings", () => {
  const status = (git: string) => checkTools(factsWith({ git })).find(({ id }) => id === "git");
  assert.equal(status("git version 2.31.8")?.status, "warning");
  assert.equal(status("git version 1.99.0")?.status, "warning");
  for (
    const text of ["git version 2.32.0", "git version 2.47.1 (Apple Git-1)", "git version 3.0"]
  ) {
    assert.equal(status(text)?.status, "ok", text);
    assert.equal(status(text)?.detail, text);
  }
});

Deno.test("summaryOf() counts in words", () => {
  const { ok, warning, problem } = checkOf("x", "x");
  assert.equal(summaryOf([ok("")]), "No problems found");
  assert.equal(summaryOf([problem("", ""), ok("")]), "1 problem");
  assert.equal(
    summaryOf([problem("", ""), warning("", ""), warning("", "")]),
    "1 problem, 2 warnings",
  );
});
