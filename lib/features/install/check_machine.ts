/**
 * Checks what the suite and its jobs need of the machine: systemd, a container engine, git.
 *
 * @module
 */
import { assertNever } from "@lib/core/errors.ts";
import { type Check, checkOf } from "@lib/features/install/checks.ts";
import type { DoctorFacts, EngineAnswer, ManagerFacts } from "@lib/features/install/facts.ts";

/** `StandardOutput=append:`, on which every job's log rests, came with this version. */
const OLDEST_SYSTEMD = 240;

/** The controllers that limits need, and the limits that need them. */
const CONTROLLERS = [["cpu", "CPU"], ["memory", "memory"], ["pids", "task"]] as const;

/** The first that can ignore the account's settings: `GIT_CONFIG_GLOBAL`. */
const OLDEST_GIT = [2, 32] as const;

const ENGINE_LIMITS = [
  ["cpu", "CPU"],
  ["memory", "memory"],
  ["swap", "swap"],
  ["tasks", "task"],
] as const;

/** Checks the user's manager, lingering and the runtime directory. */
export function checkSystemd(facts: DoctorFacts): readonly Check[] {
  const { manager, user, uid } = facts;
  const check = checkOf("systemd", "Service manager");
  switch (manager.kind) {
    case "no_systemd":
      return [check.skipped(
        "this machine was not booted with systemd; agents and jobs run as child processes, " +
          "without limits",
      )];
    case "unreachable":
      return [
        check.problem(
          `the user manager of ${user} cannot be reached: ${manager.why}`,
          `log in directly (not through su or sudo), or: sudo loginctl enable-linger ` +
            `${user} && export XDG_RUNTIME_DIR=/run/user/${uid}`,
        ),
        checkLingering(facts),
        checkRuntimeDir(facts),
      ];
    case "answers":
      return [
        checkVersion(manager.version),
        checkLingering(facts),
        checkLingerBug(facts, manager.version),
        checkControllers(manager),
        checkRuntimeDir(facts),
      ];
    default:
      return assertNever(manager);
  }
}

/** Parses the major and minor number of systemd's version; not a number where there is none. */
function parseVersion(text: string): readonly [major: number, minor: number] {
  const [, major, minor = 0] = /^v?(\d+)(?:\.(\d+))?/.exec(text) ?? [];
  return [Number(major), Number(minor)];
}

function checkVersion(text: string): Check {
  const check = checkOf("systemd", "systemd version");
  return parseVersion(text)[0] < OLDEST_SYSTEMD
    ? check.problem(
      `systemd is ${text}; jobs need ${OLDEST_SYSTEMD} or later`,
      "upgrade the distribution, or set executor: direct in the configuration",
    )
    : check.ok(`systemd is ${text}, and the user manager answers`);
}

function checkLingering({ lingers, user }: DoctorFacts): Check {
  const check = checkOf("linger", "Lingering");
  switch (lingers) {
    case true:
      return check.ok(`the user manager of ${user} outlives the last session`);
    case false:
      return check.problem(
        "lingering is off: the runner and every job are killed when the last session ends",
        `loginctl enable-linger ${user} (or the same with sudo)`,
      );
    case undefined:
      return check.skipped("loginctl does not say if lingering is on");
    default:
      return assertNever(lingers);
  }
}

/** With some versions logind may kill a lingering manager; fixed in 256.3 and 257. */
function checkLingerBug({ lingers }: DoctorFacts, text: string): Check {
  const check = checkOf("linger_bug", "Lingering bug of systemd 255");
  const [major, minor] = parseVersion(text);
  const isAffected = major === 255 || (major === 256 && minor < 3);
  return isAffected && lingers === true
    ? check.warning(
      `systemd ${text} may kill the user manager, and every job, when the last session ends ` +
        "although lingering is on (systemd issue 43361)",
      "upgrade to systemd 256.3 or later; until then keep a session open, such as one of tmux",
    )
    : check.ok(`systemd ${text} is not affected`);
}

function checkControllers({ controllers }: ManagerFacts & { readonly kind: "answers" }): Check {
  const check = checkOf("controllers", "Limits");
  if (controllers === undefined) return check.skipped("the manager's cgroup cannot be read");
  const missing = CONTROLLERS.filter(([name]) => !controllers.includes(name));
  if (missing.length === 0) return check.ok("the kernel enforces CPU, memory and task limits");
  const names = missing.map(([name]) => name).join(", ");
  const limits = missing.map(([, limit]) => limit).join(", ");
  return check.warning(
    `not delegated to the user manager: ${names}; ${limits} limits are not enforced`,
    "sudo systemctl edit user@.service, add [Service] Delegate=cpu io memory pids, then log in " +
      "again; if cgroup v2 lacks them, boot with systemd.unified_cgroup_hierarchy=1",
  );
}

function checkRuntimeDir({ runtimeDir, uid }: DoctorFacts): Check {
  const check = checkOf("runtime_dir", "Runtime directory");
  const fix = `log in again; it should be /run/user/${uid}, owned by you, with mode 0700`;
  if (runtimeDir === undefined) return check.problem("XDG_RUNTIME_DIR is not set", fix);
  const { path } = runtimeDir;
  if (runtimeDir.kind === "missing") return check.problem(`${path} does not exist`, fix);
  return runtimeDir.uid !== uid || (runtimeDir.mode & 0o077) !== 0
    ? check.problem(`other users can access ${path}`, fix)
    : check.ok(`only you can access ${path}`);
}

/**
 * Checks the container engine, git, and Git LFS.
 *
 * Only some jobs need them, so a missing one is reported but is not a problem.
 */
export function checkTools({ engine, git, gitLfs }: DoctorFacts): readonly Check[] {
  return [
    checkEngine(engine),
    ...(engine.kind === "answers" ? [checkEngineLimits(engine)] : []),
    checkGit(git),
    checkOf("git_lfs", "Git LFS").ok(gitLfs ?? "none found; only checkouts with lfs need it"),
  ];
}

function checkEngine(engine: EngineAnswer): Check {
  const check = checkOf("container_engine", "Container engine");
  switch (engine.kind) {
    case "none":
      return check.ok("none found; only jobs with an image need one");
    case "silent":
      return engine.isNamed
        ? check.warning(
          engine.why,
          "start it, or change containers.host, DOCKER_HOST or CONTAINER_HOST",
        )
        : check.ok(`${engine.why}; only jobs with an image need one`);
    case "answers": {
      const { address, podman, version, rootless, cgroupVersion, storageDriver } = engine;
      const parts = [
        `${podman ? "Podman" : "Docker"} ${version} at ${address}`,
        rootless ? "rootless" : "run by root",
        cgroupVersion === "" ? "" : `cgroup v${cgroupVersion}`,
        storageDriver === "" ? "" : `storage ${storageDriver}`,
      ];
      return check.ok(parts.filter((part) => part !== "").join(", "));
    }
    default:
      return assertNever(engine);
  }
}

function checkEngineLimits({ enforces }: EngineAnswer & { readonly kind: "answers" }): Check {
  const check = checkOf("container_limits", "Limits of containers");
  const missing = ENGINE_LIMITS.filter(([name]) => !enforces[name]).map(([, limit]) => limit);
  return missing.length === 0
    ? check.ok("the engine enforces CPU, memory, swap and task limits")
    : check.warning(
      `the engine does not enforce ${missing.join(", ")} limits here`,
      "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1), swap limits on cgroup v1 need " +
        "swapaccount=1; a rootless engine needs Delegate=cpu io memory pids in user@.service",
    );
}

function checkGit(text: string | undefined): Check {
  const check = checkOf("git", "git");
  if (text === undefined) return check.ok("none found; only jobs with a checkout need it");
  const [, major, minor] = /(\d+)\.(\d+)/.exec(text) ?? [];
  const isOld = Number(major) < OLDEST_GIT[0] ||
    (Number(major) === OLDEST_GIT[0] && Number(minor) < OLDEST_GIT[1]);
  return isOld
    ? check.warning(
      `${text} reads the account's own settings at each checkout`,
      `upgrade git to ${OLDEST_GIT.join(".")} or later`,
    )
    : check.ok(text);
}
