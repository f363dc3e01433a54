/**
 * Checks what jobs of some kinds need: a container engine, git.
 *
 * Whoever has no such jobs needs none of it, so its absence is told, not held
 * against the machine.
 *
 * @module
 */
import { type Check, fine, warning } from "@lib/features/install/checks.ts";
import type { DoctorFacts, EngineAnswer, EngineLimit } from "@lib/features/install/facts.ts";

/** The first that can be kept from reading the account's settings: `GIT_CONFIG_GLOBAL`. */
const OLDEST_GIT = [2, 32] as const;

const LIMITS: Readonly<Record<EngineLimit, string>> = {
  cpu: "CPU",
  memory: "memory",
  swap: "swap",
  tasks: "task",
};

/** Checks the container engine, git, and Git LFS. */
export function checkTools({ engine, git, gitLfs }: DoctorFacts): readonly Check[] {
  return [
    checkEngine(engine),
    ...(engine.kind === "answers" ? [checkEngineLimits(engine)] : []),
    checkGit(git),
    fine("git_lfs", "Git LFS", gitLfs ?? "none found; only checkouts with lfs need it"),
  ];
}

function checkEngine(engine: EngineAnswer): Check {
  const id = "container_engine";
  const title = "Container engine";
  switch (engine.kind) {
    case "none":
      return fine(id, title, "none found; only jobs with an image need one");
    case "silent":
      return engine.isNamed
        ? warning(
          id,
          title,
          engine.why,
          "start it, or change containers.host, DOCKER_HOST or CONTAINER_HOST",
        )
        : fine(id, title, `${engine.why}; only jobs with an image need one`);
    case "answers":
      return fine(id, title, describe(engine));
  }
}

function describe(engine: EngineAnswer & { readonly kind: "answers" }): string {
  const { address, podman, version, rootless, cgroupVersion, storageDriver } = engine;
  return [
    `${podman ? "Podman" : "Docker"} ${version} at ${address}`,
    rootless ? "rootless" : "run by root",
    cgroupVersion === "" ? "" : `cgroup v${cgroupVersion}`,
    storageDriver === "" ? "" : `storage ${storageDriver}`,
  ].filter((part) => part !== "").join(", ");
}

function checkEngineLimits({ enforces }: EngineAnswer & { readonly kind: "answers" }): Check {
  const id = "container_limits";
  const title = "Limits of containers";
  const missing = Object.entries(LIMITS).filter(([name]) => !isEnforced(enforces, name));
  if (missing.length === 0) {
    return fine(id, title, "the engine enforces CPU, memory, swap and task limits");
  }
  return warning(
    id,
    title,
    `the engine does not enforce ${missing.map(([, limit]) => limit).join(", ")} limits here`,
    "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1), swap limits on cgroup v1 need " +
      "swapaccount=1; a rootless engine needs Delegate=cpu io memory pids in user@.service",
  );
}

function isEnforced(enforces: Readonly<Record<string, boolean>>, limit: string): boolean {
  return enforces[limit] === true;
}

function checkGit(text: string | undefined): Check {
  const id = "git";
  const title = "git";
  if (text === undefined) return fine(id, title, "none found; only jobs with a checkout need it");
  const [, major, minor] = /(\d+)\.(\d+)/.exec(text) ?? [];
  const isOld = Number(major) < OLDEST_GIT[0] ||
    (Number(major) === OLDEST_GIT[0] && Number(minor) < OLDEST_GIT[1]);
  return isOld
    ? warning(
      id,
      title,
      `${text} reads the account's own settings at each checkout`,
      `upgrade git to ${OLDEST_GIT.join(".")} or later`,
    )
    : fine(id, title, text);
}
