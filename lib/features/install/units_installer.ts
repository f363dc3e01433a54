/**
 * Installs and removes the user units: `cicd-runner install` and `uninstall`.
 *
 * `install.sh` puts the programs in place and hands over to this.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { gatherLingering } from "@lib/features/install/facts.ts";
import { hardeningWorks } from "@lib/features/install/hardening.ts";
import {
  type InstallPorts,
  type InstallStep,
  type Owner,
  Steps,
  type StepsOptions,
} from "@lib/features/install/steps.ts";
import {
  HARDENING_NAMES,
  isDropInDirectory,
  isOwnUnit,
  ownedPaths,
  planUnits,
  UNIT_NAMES,
  type UnitAction,
  type UnitFile,
} from "@lib/features/install/unit_files.ts";

/** Options for {@linkcode installUnits}. */
export interface InstallOptions extends StepsOptions {
  /** Neither enables the runner's units nor starts its socket. */
  readonly noEnable?: boolean;
  /** Leaves lingering as it is. */
  readonly noLinger?: boolean;
  /** Leaves out the hardening drop-ins, instead of adding those that work. */
  readonly noHardening?: boolean;
}

const ENABLED = ["cicd-runner.service", "cicd-runner.socket", "cicd-clean.timer"];
const RUNNING = ["cicd-runner.service", "cicd-agent@*.service"];
/** Data of a `--system` installation, a directory for each user. */
const SYSTEM_DATA = "/var/lib/cicd-toolkit";
/** Where programs made by `deno compile` keep their compiled code if they run outside of a unit. */
const COMPILE_CACHES = ["runner", "agent"].map((name) => `/tmp/deno-compile-cicd-${name}.cache`);
/** Attempts to reach a manager that lingering has just started. */
const MANAGER_TRIES = 20;
const MANAGER_WAIT_MS = 500;

/**
 * Installs the units of this version, or brings them up to date; running
 * programs are restarted, jobs go on.
 *
 * Without a user manager the files are put in place and nothing is started.
 *
 * @throws {CicdError} `not_found` if this version's unit files are missing.
 */
export async function installUnits(
  ports: InstallPorts,
  options: InstallOptions,
): Promise<readonly InstallStep[]> {
  const { owner, unitDir, unitsDir, binDir } = ports.subject;
  const steps = new Steps(ports, options);
  const { signal } = steps;
  const units = await readAll(steps, unitsDir, UNIT_NAMES);
  const candidates = await readAll(steps, `${unitsDir}/hardening`, HARDENING_NAMES);
  let isManaged = false;
  let hardening: readonly UnitFile[] | undefined;
  if (owner !== undefined) {
    await makeDirs(steps, owner);
    if (options.noLinger !== true) await ensureLingering(steps, owner);
    isManaged = await awaitManager(steps, owner);
    if (isManaged) {
      hardening = await chooseHardening(steps, owner, options.noHardening ? [] : candidates);
    }
  }
  const present = await readPresent(steps);
  const home = owner?.home;
  const actions = planUnits({ unitDir, units, hardening, binDir, home, present });
  for (const action of actions) {
    if (action.kind === "remove") await steps.removeFile(action.path);
    else {
      const { path, text } = action;
      const old = present.get(path);
      if (old !== undefined && !await keepOld(steps, path, old)) continue;
      await steps.take("write", path, () => ports.writeText(path, text, signal));
    }
  }
  if (isManaged && owner !== undefined) {
    await restart(steps, actions);
    if (options.noEnable !== true) await enable(steps, owner);
  } else if (owner !== undefined) {
    await steps.take("check", "systemctl --user", () => {
      const program = binDir === undefined ? "cicd-runner" : `${binDir}/cicd-runner`;
      throw new Error(
        "There is no systemd user manager here, so nothing was started. Start it by hand with: " +
          `${program} daemon`,
      );
    }, "useful");
  }
  return steps.taken;
}

/**
 * Stops the programs and removes their units; jobs go on, and drop-ins that
 * were not installed stay.
 *
 * @param options `purge` also removes configuration, state and caches, and stops all jobs.
 */
export async function uninstallUnits(
  ports: InstallPorts,
  options: StepsOptions & { readonly purge: boolean },
): Promise<readonly InstallStep[]> {
  const { owner, system } = ports.subject;
  const { purge } = options;
  const steps = new Steps(ports, options);
  const isManaged = owner !== undefined && await managerAnswers(steps);
  if (isManaged) {
    await steps.systemctl(["disable", "--now", ...ENABLED.toReversed()], "if_any");
    await steps.systemctl(["stop", "cicd-agent@*.socket", "cicd-agent@*.service"], "if_any");
    // Stops every job too: each is in this slice.
    if (purge) await steps.systemctl(["stop", "cicd.slice"], "if_any");
  }
  const links = await agentLinks(steps);
  for (const [path, text] of await readPresent(steps)) {
    if (!path.endsWith(".conf") && !isOwnUnit(text)) {
      const reason = () => Promise.resolve("it stays: it was not installed by this");
      await steps.take("check", path, reason);
    } else await steps.removeFile(path);
  }
  for (const path of links) await steps.removeFile(path);
  if (purge) await removeDropIns(steps);
  if (owner !== undefined) {
    await steps.removeTree(`${owner.dataHome}/systemd/timers/stamp-cicd-clean.timer`);
  }
  if (isManaged) await steps.systemctl(["daemon-reload"]);
  const lingers = owner !== undefined && await steps.exists(lingerMark(owner));
  if (purge && owner !== undefined) {
    const { configDir, stateDir, cacheDir, runtimeDir } = owner;
    const data = [configDir, stateDir, `${cacheDir}/runtime`, `${runtimeDir}/cicd-toolkit`];
    for (const path of [...data, ...COMPILE_CACHES]) await steps.removeTree(path);
    // Others may keep something beside it.
    if (await steps.exists(cacheDir)) await steps.runAsOwner(["rmdir", cacheDir], "if_any");
  }
  if (purge && system && await steps.exists(SYSTEM_DATA)) {
    await steps.run(["rm", "-rf", SYSTEM_DATA]);
  }
  // Last, as the manager may end with it.
  if (purge && lingers) await steps.run(["loginctl", "disable-linger", owner.user]);
  return steps.taken;
}

async function makeDirs(steps: Steps, owner: Owner): Promise<void> {
  for (const path of [owner.configDir, owner.stateDir, owner.cacheDir]) {
    await steps.makePrivateDir(path);
  }
  if (!steps.ports.subject.system) return;
  const users = `${SYSTEM_DATA}/users`;
  const own = `${users}/${owner.uid}`;
  if (!await steps.exists(users)) await steps.run(["install", "-d", "-m", "711", users]);
  if (!await steps.exists(own)) {
    const ids = ["-o", String(owner.uid), "-g", String(owner.gid)];
    await steps.run(["install", "-d", "-m", "700", ...ids, own]);
  }
  // As the owner: in a directory of theirs, a symlink could lead root elsewhere.
  for (const name of ["sessions", "sockets"]) await steps.makePrivateDir(`${own}/${name}`);
}

async function ensureLingering(steps: Steps, owner: Owner): Promise<void> {
  const { ports, signal } = steps;
  const { user } = owner;
  let enabled = false;
  if (!await steps.exists("/run/systemd/system")) return;
  if (await gatherLingering(ports, user, signal) === true) return;
  const command = ["loginctl", "enable-linger", user];
  await steps.take("run", command.join(" "), async () => {
    await ports.run(command, signal);
    if (await gatherLingering(ports, user, signal) === true) {
      enabled = true;
      return "the runner outlives the last session";
    }
    throw new Error(
      `Cannot enable lingering for ${user}: the runner and its jobs will be killed when the last ` +
        `session ends. Run: sudo ${command.join(" ")}`,
    );
  }, "useful");
  if (enabled) await steps.runAsOwner(["touch", lingerMark(owner)], "if_any");
}

/** Exists if lingering was enabled by an installation, so that a purge disables it. */
function lingerMark({ configDir }: Owner): string {
  return `${configDir}/.lingering-enabled`;
}

/** Keeps the text of a unit that was written by hand; `false` if that is not possible. */
async function keepOld(steps: Steps, path: string, text: string): Promise<boolean> {
  if (path.endsWith(".conf") || isOwnUnit(text)) return true;
  const { ports, signal } = steps;
  let backup = `${path}.orig`;
  for (let number = 2; await steps.exists(backup); number++) backup = `${path}.orig${number}`;
  await steps.take("write", backup, async () => {
    await ports.writeText(backup, text, signal);
    return `the text of ${path}, which was not installed by this and is replaced`;
  });
  return steps.taken.at(-1)?.outcome !== "failed";
}

/** Removes all drop-ins of our units: those of `systemctl edit` and `set-property` too. */
async function removeDropIns(steps: Steps): Promise<void> {
  const { ports: { subject: { owner, unitDir, system }, list }, signal } = steps;
  const own = owner?.configDir.replace(/[^/]*$/, "systemd");
  const directories = new Set([
    unitDir,
    ...(own === undefined ? [] : [`${own}/user`, `${own}/user.control`]),
  ]);
  for (const directory of directories) {
    for (const name of (await list(directory, signal)).filter(isDropInDirectory)) {
      const path = `${directory}/${name}`;
      if (system && directory === unitDir) await steps.run(["rm", "-rf", path]);
      else await steps.removeTree(path);
    }
  }
}

/** Waits for the manager if the owner lingers: it may just have been started. */
async function awaitManager(steps: Steps, { user }: Owner): Promise<boolean> {
  const { ports: { clock }, signal } = steps;
  for (let tries = 0; !await managerAnswers(steps); tries++) {
    const lingers = await steps.exists(`/var/lib/systemd/linger/${user}`);
    if (!lingers || tries >= MANAGER_TRIES) return false;
    await clock.sleep(MANAGER_WAIT_MS, { signal });
  }
  return true;
}

async function managerAnswers(steps: Steps): Promise<boolean> {
  return await steps.query(["systemctl", "--user", "show", "--property=Version"]) !== undefined;
}

/** Returns the drop-ins that work; `undefined` in a dry run, which tries nothing. */
async function chooseHardening(
  steps: Steps,
  owner: Owner,
  candidates: readonly UnitFile[],
): Promise<readonly UnitFile[] | undefined> {
  const { ports, signal } = steps;
  const working: UnitFile[] = [];
  for (const candidate of candidates) {
    await steps.take("try", candidate.name, async () => {
      const works = await hardeningWorks(ports, owner, { candidate, signal });
      if (works) working.push(candidate);
      return works ? "it works here" : "left out: it does not work here";
    });
  }
  return steps.dryRun && candidates.length > 0 ? undefined : working;
}

async function restart(steps: Steps, actions: readonly UnitAction[]): Promise<void> {
  await steps.systemctl(["daemon-reload"]);
  // A socket takes its settings when it starts to listen, which its service must not outlast.
  for (const { path } of actions.filter((one) => one.path.endsWith(".socket"))) {
    const pattern = path.slice(path.lastIndexOf("/") + 1).replace("@", "@*");
    const flags = ["--plain", "--no-legend", "--state=active"];
    const listed = await steps.query(["systemctl", "--user", "list-units", ...flags, pattern]);
    for (const line of (listed ?? "").split("\n")) {
      const [socket = ""] = line.trim().split(/\s+/);
      if (socket === "") continue;
      await steps.systemctl(["stop", socket.replace(/socket$/, "service")], "if_any");
      await steps.systemctl(["restart", socket]);
    }
  }
  // Only running units are restarted; jobs are units of their own and go on.
  await steps.systemctl(["try-restart", ...RUNNING], "useful");
}

async function enable(steps: Steps, { runtimeDir }: Owner): Promise<void> {
  await steps.systemctl(["reset-failed", "cicd-runner.socket", "cicd-runner.service"], "if_any");
  await steps.systemctl(["--quiet", "enable", ...ENABLED]);
  await steps.systemctl(["start", "cicd-runner.socket"]);
  await steps.systemctl(["start", "cicd-clean.timer"], "useful");
  const socket = `${runtimeDir}/cicd-runner.sock`;
  await steps.take("check", socket, async () => {
    if (await steps.exists(socket)) return "the runner can be reached";
    throw new Error("It does not exist: see systemctl --user status cicd-runner.socket");
  }, "useful");
}

/** Returns the symlinks by which agents of projects were enabled. */
async function agentLinks(
  { ports: { subject: { unitDir }, list }, signal }: Steps,
): Promise<readonly string[]> {
  const links: string[] = [];
  for (const wants of await list(unitDir, signal)) {
    if (!wants.endsWith(".wants")) continue;
    for (const name of await list(`${unitDir}/${wants}`, signal)) {
      if (name.startsWith("cicd-agent@")) links.push(`${unitDir}/${wants}/${name}`);
    }
  }
  return links;
}

async function readAll(
  { ports, signal }: Steps,
  directory: string,
  names: readonly string[],
): Promise<readonly UnitFile[]> {
  return await Promise.all(names.map(async (name) => {
    const text = await ports.readText(`${directory}/${name}`, signal);
    if (text !== undefined) return { name, text };
    throw new CicdError(
      "not_found",
      `Cannot install the units: "${directory}/${name}" is missing; install the programs again`,
    );
  }));
}

async function readPresent({ ports, signal }: Steps): Promise<ReadonlyMap<string, string>> {
  const present = new Map<string, string>();
  for (const path of ownedPaths(ports.subject.unitDir)) {
    const text = await ports.readText(path, signal);
    if (text !== undefined) present.set(path, text);
  }
  return present;
}
