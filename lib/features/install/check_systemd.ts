/**
 * Checks what the suite needs of systemd.
 *
 * @module
 */
import { assertNever } from "@lib/core/errors.ts";
import { type Check, fine, problem, skipped, warning } from "@lib/features/install/checks.ts";
import type { DoctorFacts, ManagerFacts } from "@lib/features/install/facts.ts";

/** `StandardOutput=append:`, on which every job's log rests, came with this version. */
const OLDEST_SYSTEMD = 240;

/** The controllers that limits need, and the limits that need them. */
const CONTROLLERS = [["cpu", "CPU"], ["memory", "memory"], ["pids", "task"]] as const;

/** Checks the user's manager, lingering and the runtime directory. */
export function checkSystemd(facts: DoctorFacts): readonly Check[] {
  const { manager } = facts;
  switch (manager.kind) {
    case "no_systemd":
      return [skipped(
        "systemd",
        "Service manager",
        "this machine was not booted with systemd; agents and jobs run as child processes, " +
          "without limits",
      )];
    case "unreachable":
      return [
        problem(
          "systemd",
          "Service manager",
          `the user manager of ${facts.user} cannot be reached: ${manager.why}`,
          `log in directly (not through su or sudo), or: sudo loginctl enable-linger ` +
            `${facts.user} && export XDG_RUNTIME_DIR=/run/user/${facts.uid}`,
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

/** Major and minor number of systemd's version; 0 where there is none. */
export function parseSystemdVersion(
  text: string,
): { readonly major: number; readonly minor: number } | undefined {
  const match = /^v?(\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2] ?? 0) };
}

function checkVersion(text: string): Check {
  const version = parseSystemdVersion(text);
  const title = "systemd version";
  if (version !== undefined && version.major < OLDEST_SYSTEMD) {
    return problem(
      "systemd",
      title,
      `systemd is ${text}; jobs need ${OLDEST_SYSTEMD} or later`,
      "upgrade the distribution, or set executor: direct in the configuration",
    );
  }
  return fine("systemd", title, `systemd is ${text}, and the user manager answers`);
}

function checkLingering({ lingers, user }: DoctorFacts): Check {
  const title = "Lingering";
  switch (lingers) {
    case true:
      return fine("linger", title, `the user manager of ${user} outlives the last session`);
    case false:
      return problem(
        "linger",
        title,
        "lingering is off: the runner and every job are killed when the last session ends",
        `loginctl enable-linger ${user} (or the same with sudo)`,
      );
    case undefined:
      return skipped("linger", title, "loginctl does not say whether lingering is on");
    default:
      return assertNever(lingers);
  }
}

/** With some versions logind may kill a lingering manager; mended in 256.3 and 257. */
function checkLingerBug({ lingers }: DoctorFacts, text: string): Check {
  const title = "Lingering defect of systemd 255";
  const version = parseSystemdVersion(text);
  const affected = version !== undefined &&
    (version.major === 255 || (version.major === 256 && version.minor < 3));
  if (!affected || lingers !== true) {
    return fine("linger_bug", title, `systemd ${text} is not affected`);
  }
  return warning(
    "linger_bug",
    title,
    `systemd ${text} may kill the user manager, and every job, when the last session ends ` +
      "although lingering is on (systemd issue 43361)",
    "upgrade to systemd 256.3 or later; until then keep a session open, such as one of tmux",
  );
}

function checkControllers(manager: Extract<ManagerFacts, { kind: "answers" }>): Check {
  const title = "Limits";
  const { controllers } = manager;
  if (controllers === undefined) {
    return skipped("controllers", title, "the manager's cgroup cannot be read");
  }
  const missing = CONTROLLERS.filter(([name]) => !controllers.includes(name));
  if (missing.length === 0) {
    return fine("controllers", title, "the kernel enforces CPU, memory and task limits");
  }
  const names = missing.map(([name]) => name).join(", ");
  const limits = missing.map(([, limit]) => limit).join(", ");
  return warning(
    "controllers",
    title,
    `not delegated to the user manager: ${names}; ${limits} limits are not enforced`,
    "sudo systemctl edit user@.service, add [Service] Delegate=cpu io memory pids, then log in " +
      "again; if cgroup v2 lacks them, boot with systemd.unified_cgroup_hierarchy=1",
  );
}

function checkRuntimeDir({ runtimeDir, uid }: DoctorFacts): Check {
  const title = "Runtime directory";
  const fix = `log in again; it should be /run/user/${uid}, owned by you, with mode 0700`;
  if (runtimeDir === undefined) {
    return problem("runtime_dir", title, "XDG_RUNTIME_DIR is not set", fix);
  }
  const { path } = runtimeDir;
  if (runtimeDir.kind === "missing") {
    return problem("runtime_dir", title, `${path} does not exist`, fix);
  }
  if (runtimeDir.uid !== uid || (runtimeDir.mode & 0o077) !== 0) {
    return problem("runtime_dir", title, `${path} can be used by others`, fix);
  }
  return fine("runtime_dir", title, `${path} is yours alone`);
}
