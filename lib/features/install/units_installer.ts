/**
 * Installs and removes the user units: `cicd-runner install` and `uninstall`.
 *
 * `install.sh` puts the programs in place and hands over to this.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { gatherLingering } from "@lib/features/install/gather.ts";
import { hardeningWorks } from "@lib/features/install/hardening.ts";
import type { InstallPorts, InstallStep, Owner } from "@lib/features/install/install_ports.ts";
import { Steps, type StepsOptions } from "@lib/features/install/steps.ts";
import {
  HARDENING_NAMES,
  ownedPaths,
  planUnits,
  UNIT_NAMES,
  type UnitAction,
  type UnitFile,
} from "@lib/features/install/unit_files.ts";

/** Options for {@linkcode installUnits}. */
export interface InstallOptions extends StepsOptions {
  /** Enables the runner's units and starts its socket. @default {true} */
  readonly enable?: boolean;
  /** Enables lingering. @default {true} */
  readonly linger?: boolean;
  /** Tries the hardening drop-ins and adds those that work. @default {true} */
  readonly hardening?: boolean;
}

/** Options for {@linkcode uninstallUnits}. */
export interface UninstallOptions extends StepsOptions {
  /** Removes configuration, state and caches too, and stops all jobs. */
  readonly purge: boolean;
}

const ENABLED = ["cicd-runner.service", "cicd-runner.socket", "cicd-clean.timer"];
const RUNNING = ["cicd-runner.service", "cicd-agent@*.service"];
/** Data of a `--system` installation, a directory for each user. */
const SYSTEM_DATA = "/var/lib/cicd-toolkit";
/** How long to wait for a manager that lingering has just started. */
const MANAGER_TRIES = 20;
const MANAGER_WAIT_MS = 500;

/**
 * Installs the units of this version, or brings them up to date; running
 * programs are restarted, jobs go on.
 *
 * Without a user manager the files are put in place and nothing is started.
 *
 * @throws {CicdError} `not_found` if this version's unit files are not there.
 */
export async function installUnits(
  ports: InstallPorts,
  options: InstallOptions,
): Promise<readonly InstallStep[]> {
  const { owner, unitDir, unitsDir, binDir } = ports.subject;
  const { signal, linger = true } = options;
  const steps = new Steps(ports, options);
  const units = await readAll(ports, unitsDir, UNIT_NAMES, signal);
  const candidates = await readAll(ports, `${unitsDir}/hardening`, HARDENING_NAMES, signal);
  let managed = false;
  let hardening: readonly UnitFile[] | undefined;
  if (owner !== undefined) {
    await makeDirs(ports, owner, steps);
    if (linger) await ensureLingering(ports, owner, { steps, signal });
    managed = await awaitManager(ports, owner, signal);
    if (managed) hardening = await chooseHardening(ports, owner, { ...options, candidates, steps });
  }
  const present = await readPresent(ports, signal);
  const home = owner?.home;
  const actions = planUnits({ unitDir, units, hardening, binDir, home, present });
  for (const action of actions) {
    await steps.take(
      action.kind,
      action.path,
      () =>
        action.kind === "write"
          ? ports.writeText(action.path, action.text, signal)
          : ports.removeFile(action.path, signal),
    );
  }
  if (managed && owner !== undefined) {
    await start(ports, owner, { ...options, actions, steps });
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
 */
export async function uninstallUnits(
  ports: InstallPorts,
  options: UninstallOptions,
): Promise<readonly InstallStep[]> {
  const { owner, system } = ports.subject;
  const { signal, purge } = options;
  const steps = new Steps(ports, options);
  const managed = owner !== undefined && await managerAnswers(ports, owner, signal);
  if (managed) {
    await steps.systemctl(["disable", "--now", ...ENABLED.toReversed()], "if_any");
    await steps.systemctl(["stop", "cicd-agent@*.socket", "cicd-agent@*.service"], "if_any");
    // Takes every job along: each is in this slice.
    if (purge) await steps.systemctl(["stop", "cicd.slice"], "if_any");
  }
  const links = await agentLinks(ports, signal);
  for (const path of [...(await readPresent(ports, signal)).keys(), ...links]) {
    await steps.take("remove", path, () => ports.removeFile(path, signal));
  }
  if (owner !== undefined) {
    await steps.removeTree(`${owner.dataHome}/systemd/timers/stamp-cicd-clean.timer`);
  }
  if (managed) await steps.systemctl(["daemon-reload"]);
  if (purge && owner !== undefined) {
    const { configDir, stateDir, cacheDir, runtimeDir } = owner;
    for (const path of [configDir, stateDir, `${cacheDir}/runtime`, `${runtimeDir}/cicd-toolkit`]) {
      await steps.removeTree(path);
    }
    // Others may keep something beside it.
    if (await steps.exists(cacheDir)) await steps.runAsOwner(["rmdir", cacheDir], "if_any");
  }
  if (purge && system && await steps.exists(SYSTEM_DATA)) {
    await steps.run(["rm", "-rf", SYSTEM_DATA]);
  }
  return steps.taken;
}

async function makeDirs({ subject }: InstallPorts, owner: Owner, steps: Steps): Promise<void> {
  for (const path of [owner.configDir, owner.stateDir, owner.cacheDir]) {
    await steps.makePrivateDir(path);
  }
  if (!subject.system) return;
  const users = `${SYSTEM_DATA}/users`;
  const own = `${users}/${owner.uid}`;
  if (!await steps.exists(users)) await steps.run(["install", "-d", "-m", "711", users]);
  if (!await steps.exists(own)) {
    const ids = ["-o", String(owner.uid), "-g", String(owner.gid)];
    await steps.run(["install", "-d", "-m", "700", ...ids, own]);
  }
  // As the owner: in a directory of theirs, root might be led elsewhere by a link.
  for (const name of ["sessions", "sockets"]) await steps.makePrivateDir(`${own}/${name}`);
}

async function ensureLingering(
  ports: InstallPorts,
  { user }: Owner,
  { steps, signal }: { readonly steps: Steps; readonly signal: AbortSignal },
): Promise<void> {
  if (!await steps.exists("/run/systemd/system")) return;
  if (await gatherLingering(ports, user, signal) === true) return;
  const command = ["loginctl", "enable-linger", user];
  await steps.take("run", command.join(" "), async () => {
    await ports.run(command, signal);
    if (await gatherLingering(ports, user, signal) === true) {
      return "the runner outlives the last session";
    }
    throw new Error(
      `Cannot enable lingering for ${user}: the runner and its jobs will be killed when the last ` +
        `session ends. Run: sudo ${command.join(" ")}`,
    );
  }, "useful");
}

/** Waits for the manager if the owner lingers: it may just have been started. */
async function awaitManager(
  ports: InstallPorts,
  owner: Owner,
  signal: AbortSignal,
): Promise<boolean> {
  for (let tries = 0; !await managerAnswers(ports, owner, signal); tries++) {
    const mark = await ports.stat(`/var/lib/systemd/linger/${owner.user}`, signal);
    if (mark.kind === "missing" || tries >= MANAGER_TRIES) return false;
    await ports.clock.sleep(MANAGER_WAIT_MS, { signal });
  }
  return true;
}

async function managerAnswers(
  { run }: InstallPorts,
  { asOwner }: Owner,
  signal: AbortSignal,
): Promise<boolean> {
  const argv = [...asOwner, "systemctl", "--user", "show", "--property=Version"];
  return (await run(argv, signal))?.code === 0;
}

interface HardeningOptions extends InstallOptions {
  readonly candidates: readonly UnitFile[];
  readonly steps: Steps;
}

/** The drop-ins to have; `undefined`: those that are there stay, as a dry run tries nothing. */
async function chooseHardening(
  ports: InstallPorts,
  owner: Owner,
  { hardening = true, dryRun, candidates, steps, signal }: HardeningOptions,
): Promise<readonly UnitFile[] | undefined> {
  if (!hardening) return [];
  const working: UnitFile[] = [];
  for (const candidate of candidates) {
    await steps.take("try", candidate.name, async () => {
      const works = await hardeningWorks(ports, owner, { candidate, signal });
      if (works) working.push(candidate);
      return works ? "it works here" : "left out: it does not work here";
    });
  }
  return dryRun ? undefined : working;
}

interface StartOptions extends InstallOptions {
  readonly actions: readonly UnitAction[];
  readonly steps: Steps;
}

async function start(
  ports: InstallPorts,
  owner: Owner,
  { actions, steps, enable = true, signal }: StartOptions,
): Promise<void> {
  await steps.systemctl(["daemon-reload"]);
  // A socket takes its settings when it starts to listen, which its service must not outlast.
  for (const { path } of actions.filter((one) => one.path.endsWith(".socket"))) {
    const pattern = path.slice(path.lastIndexOf("/") + 1).replace("@", "@*");
    for (const socket of await activeUnits(ports, owner, { pattern, signal })) {
      await steps.systemctl(["stop", socket.replace(/socket$/, "service")], "if_any");
      await steps.systemctl(["restart", socket]);
    }
  }
  // Only what runs is restarted; jobs are units of their own and go on.
  await steps.systemctl(["try-restart", ...RUNNING], "useful");
  if (!enable) return;
  await steps.systemctl(["reset-failed", "cicd-runner.socket", "cicd-runner.service"], "if_any");
  await steps.systemctl(["--quiet", "enable", ...ENABLED]);
  await steps.systemctl(["start", "cicd-runner.socket"]);
  await steps.systemctl(["start", "cicd-clean.timer"], "useful");
  const socket = `${owner.runtimeDir}/cicd-runner.sock`;
  await steps.take("check", socket, async () => {
    if (await steps.exists(socket)) return "the runner can be reached";
    throw new Error("It is not there: see systemctl --user status cicd-runner.socket");
  }, "useful");
}

async function activeUnits(
  { run }: InstallPorts,
  { asOwner }: Owner,
  { pattern, signal }: { readonly pattern: string; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const flags = ["--plain", "--no-legend", "--state=active"];
  const argv = [...asOwner, "systemctl", "--user", "list-units", ...flags, pattern];
  const listed = (await run(argv, signal))?.stdout ?? "";
  return listed.split("\n").map((line) => line.trim().split(/\s+/)[0] ?? "").filter(Boolean);
}

/** Links by which agents of projects were enabled. */
async function agentLinks(
  { subject, list }: InstallPorts,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const links: string[] = [];
  for (const wants of await list(subject.unitDir, signal)) {
    if (!wants.endsWith(".wants")) continue;
    for (const name of await list(`${subject.unitDir}/${wants}`, signal)) {
      if (name.startsWith("cicd-agent@")) links.push(`${subject.unitDir}/${wants}/${name}`);
    }
  }
  return links;
}

async function readAll(
  { readText }: InstallPorts,
  directory: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly UnitFile[]> {
  return await Promise.all(names.map(async (name) => {
    const text = await readText(`${directory}/${name}`, signal);
    if (text === undefined) {
      throw new CicdError(
        "not_found",
        `Cannot install the units: "${directory}/${name}" is missing; install the programs again`,
      );
    }
    return { name, text };
  }));
}

async function readPresent(
  { subject, readText }: InstallPorts,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const present = new Map<string, string>();
  for (const path of ownedPaths(subject.unitDir)) {
    const text = await readText(path, signal);
    if (text !== undefined) present.set(path, text);
  }
  return present;
}
