/**
 * Checks the suite's files, its units, and the runner that they start.
 *
 * @module
 */
import { counted } from "@lib/core/count.ts";
import { formatSize } from "@lib/core/size.ts";
import type { RemainsList } from "@lib/spine/jobs/remains.ts";
import { type Check, checkOf } from "@lib/features/install/checks.ts";
import type {
  DoctorFacts,
  GuardedPath,
  UnitFacts,
  UnitInstance,
} from "@lib/features/install/facts.ts";

const GROUP_AND_OTHERS = 0o077;
const OWNER_ALL = 0o700;
const WRITE_FOR_OTHERS = 0o022;

const ROLES: Readonly<Record<GuardedPath["role"], string>> = {
  config_dir: "Configuration directory",
  config_file: "Configuration file",
  state_dir: "State directory",
  socket: "Socket",
  key_file: "Key file",
};

/** Checks modes, owners and free space. */
export function checkFiles(facts: DoctorFacts): readonly Check[] {
  return [...facts.paths.map((guarded) => checkPath(guarded, facts.uid)), checkDisk(facts.disk)];
}

function checkPath({ role, facts }: GuardedPath, uid: number): Check {
  const { path } = facts;
  const check = checkOf(`${role}:${path}`, ROLES[role]);
  if (facts.kind === "missing") {
    const note = role === "config_file" ? " (not needed)" : "";
    return check.skipped(`${path} does not exist${note}`);
  }
  // A file that root provides for everyone is as trusted as the machine.
  const isConfig = role === "config_dir" || role === "config_file";
  if (facts.uid !== uid && !(isConfig && facts.uid === 0)) {
    return check.problem(
      `${path} belongs to uid ${facts.uid}, not to you (uid ${uid})`,
      `sudo chown ${uid} ${path}`,
    );
  }
  if (role === "state_dir" && (facts.mode & OWNER_ALL) !== OWNER_ALL) {
    return check.problem(
      `${path} has mode 0${facts.mode.toString(8).padStart(3, "0")}: the runner cannot use it`,
      `chmod 0700 ${path}`,
    );
  }
  if ((facts.mode & GROUP_AND_OTHERS) === 0) return check.ok(`only its owner can access ${path}`);
  const fix = `chmod ${role === "config_dir" || role === "state_dir" ? "0700" : "0600"} ${path}`;
  const found = `${path} has mode 0${facts.mode.toString(8).padStart(3, "0")}`;
  if (!isConfig) return check.problem(`${found}: other users can access it`, fix);
  if ((facts.mode & WRITE_FOR_OTHERS) !== 0) {
    return check.problem(`${found}: other users can change what the runner does`, fix);
  }
  return facts.uid === 0
    ? check.ok(`${path} is provided by root`)
    : check.warning(`${found}: other users can read it`, fix);
}

function checkDisk({ path, freeBytes, floorBytes }: DoctorFacts["disk"]): Check {
  const check = checkOf("disk", "Disk");
  if (freeBytes === undefined) return check.skipped(`the free space at ${path} is unknown`);
  const free = `${formatSize(freeBytes)} free at ${path}`;
  const floor = formatSize(floorBytes);
  const fix = "free some space, or lower retention.min_free_disk or the retention times";
  if (freeBytes < floorBytes) {
    return check.problem(`${free}; new jobs are refused below ${floor}`, fix);
  }
  return freeBytes < floorBytes * 2
    ? check.warning(`${free}; new jobs will be refused below ${floor}`, fix)
    : check.ok(free);
}

const UNIT_TITLE = "Unit";

/** Checks that every unit of this version is installed, current, loaded and alive. */
export function checkUnits({ manager, units }: DoctorFacts): readonly Check[] {
  return manager.kind === "answers"
    ? units.flatMap(checkUnit)
    : [checkOf("units", "Units").skipped("there is no user manager to ask about them")];
}

function checkUnit({ file: { name, text }, installedText, instances }: UnitFacts) {
  const check = checkOf(`unit:${name}`, UNIT_TITLE);
  if (installedText === undefined) {
    return [check.warning(`${name} is not installed`, "cicd-runner install")];
  }
  const found = instances.flatMap((instance) => checkInstance(instance, name));
  if (installedText !== text) {
    const stale = check.warning(
      `${name} does not match this version`,
      `cicd-runner install; put your changes into a drop-in (systemctl --user edit ${name})`,
    );
    return [stale, ...found];
  }
  return found.length > 0 ? found : [check.ok(`${name} is installed and current`)];
}

function checkInstance(instance: UnitInstance, fileName: string): readonly Check[] {
  const { name, activeState, result, needsReload, killMode } = instance;
  const checks: Check[] = [];
  if (activeState === "failed") {
    const check = checkOf(`failed:${name}`, UNIT_TITLE);
    checks.push(check.problem(`${name} has failed: ${result}`, failedFix(name, result)));
  }
  if (needsReload) {
    checks.push(
      checkOf(`reload:${name}`, UNIT_TITLE).warning(
        `${name} changed on disk after systemd read it`,
        "systemctl --user daemon-reload",
      ),
    );
  }
  if (killMode === "process" || killMode === "none") {
    checks.push(
      checkOf(`kill_mode:${name}`, UNIT_TITLE).problem(
        `${name} has KillMode=${killMode}, which leaves orphan processes`,
        `systemctl --user edit ${fileName}, and remove KillMode= from the drop-in`,
      ),
    );
  }
  return checks;
}

function failedFix(name: string, result: string): string {
  // It has no socket, and nothing waits for it: the timer starts it again.
  if (name === "cicd-clean.service") {
    return `journalctl --user -t cicd-clean -n 50; fix it, then systemctl --user start ${name}`;
  }
  const service = name.replace(/\.socket$/, ".service");
  const socket = name.replace(/\.service$/, ".socket");
  const look = `journalctl --user -u ${service} -n 50`;
  const again = `systemctl --user reset-failed ${service} ${socket} && ` +
    `systemctl --user start ${socket}`;
  return result === "resources" || result === "success" ? again : `${look}; fix it, then ${again}`;
}

/** Checks the runner's answer. */
export function checkRunner({ runner, manager, version }: DoctorFacts): Check {
  const check = checkOf("runner", "Runner");
  const isManaged = manager.kind === "answers";
  if (runner.kind === "silent") {
    return check.problem(
      `the runner does not answer: ${runner.why}`,
      isManaged
        ? "systemctl --user enable --now cicd-runner.socket"
        : "start it with: cicd-runner daemon",
    );
  }
  if (runner.kind === "refuses") {
    return check.problem(
      `the runner refuses requests: ${runner.why}`,
      isManaged ? "fix that; the next request starts the runner" : "fix that, then restart it",
    );
  }
  if (runner.version !== undefined && runner.version !== version) {
    return check.warning(
      `the runner has version ${runner.version}, this program has ${version}`,
      isManaged
        ? "systemctl --user try-restart cicd-runner.service 'cicd-agent@*.service'"
        : "restart it",
    );
  }
  return check.ok(`the runner answers, version ${runner.version ?? "unknown"}`);
}

/** Reports why the runner takes no work, such as a full disk. */
export function checkReadiness({ runner }: DoctorFacts): readonly Check[] {
  const { unreadyReasons = [] } = runner.kind === "answered" ? runner : {};
  return unreadyReasons.map((reason) =>
    checkOf("ready", "Queue").warning(
      `the runner takes no work: ${reason}`,
      "cicd-runner status shows the queue",
    )
  );
}

/** Checks that the key file opens the secrets of the jobs on record. */
export function checkSecrets({ runner }: DoctorFacts): readonly Check[] {
  if (runner.kind !== "answered" || !runner.unreadableSecrets) return [];
  return [
    checkOf("secrets", "Sealed secrets").problem(
      `${counted(runner.unreadableSecrets, "job")} with secrets that were sealed with another ` +
        "secrets.key: queued ones fail, the logs of ended ones are refused",
      "restore that secrets.key and restart the runner, or submit the jobs again",
    ),
  ];
}

/** Reports the agents that do not answer the runner, or cannot do their work. */
export function checkAgents({ runner, manager }: DoctorFacts): readonly Check[] {
  const { agentProblems = [] } = runner.kind === "answered" ? runner : {};
  return agentProblems.map(({ project, reason }) =>
    checkOf(`agent:${project}`, "Agent").problem(
      `the agent of ${project}: ${reason}`,
      manager.kind === "answers"
        ? `systemctl --user status cicd-agent@${project}.service; fix it, then submit a job`
        : "see the messages of the runner; fix it, then submit a job",
    )
  );
}

/** Checks what jobs left that resists removal, also while no runner can tell. */
export function checkRemains({ count, items }: RemainsList, stateDir: string): Check {
  const check = checkOf("remains", "Removal after jobs");
  if (count === 0) return check.ok("nothing that jobs left resists removal");
  const first = items.slice(0, REMAINS_SHOWN);
  const rest = count - first.length;
  return check.warning(
    `${counted(count, "thing")} of jobs cannot be removed: ` +
      first.map(({ path, reason }) => `${path} (${reason})`).join("; ") +
      (rest > 0 ? `; and ${rest} more` : ""),
    "it is tried again by itself; now: cicd-runner clean, or as root: sudo rm -rf -- " +
      first.map(({ path }) => `${stateDir}/${path}`).join(" "),
  );
}

const REMAINS_SHOWN = 5;
