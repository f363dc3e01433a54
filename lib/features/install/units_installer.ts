/**
 * Installs and removes the user units: `cicd-runner install` and `uninstall`.
 *
 * The programs themselves come and go with `install.sh`, which does the same
 * with the same unit files.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import { workingHardening } from "@lib/features/install/hardening.ts";
import type { InstallPorts, InstallStep } from "@lib/features/install/install_ports.ts";
import {
  HARDENING_NAMES,
  ownedPaths,
  planUnits,
  searchedBinDirs,
  UNIT_NAMES,
  type UnitFile,
} from "@lib/features/install/unit_files.ts";

/** Options for {@linkcode installUnits} and {@linkcode uninstallUnits}. */
export interface InstallOptions {
  /** Reports what would be done, and does nothing. */
  readonly dryRun: boolean;
  /** Whether the runner's units are enabled and its socket started. @default {true} */
  readonly enable?: boolean;
  /** Whether lingering is enabled. @default {true} */
  readonly linger?: boolean;
  /** Whether the hardening drop-ins are tried and added. @default {true} */
  readonly hardening?: boolean;
  /** Called after each step. */
  readonly onStep?: (step: InstallStep) => void;
  readonly signal: AbortSignal;
}

const RUNNING = ["cicd-runner.service", "cicd-agent@*.service"];

/**
 * Installs the units of this version, or brings them up to date; running
 * programs are restarted, jobs go on.
 *
 * A step that fails is reported, and the others are still made.
 *
 * @throws {CicdError} `not_found` if this version's unit files are not there.
 */
export async function installUnits(
  ports: InstallPorts,
  options: InstallOptions,
): Promise<readonly InstallStep[]> {
  const { subject } = ports;
  const { signal, enable = true, linger = true, hardening = true } = options;
  const steps = new Steps(ports, options);
  const units = await readAll(ports, subject.unitsDir, UNIT_NAMES, signal);
  const candidates = await readAll(ports, `${subject.unitsDir}/hardening`, HARDENING_NAMES, signal);
  const extraBinDir = await findExtraBinDir(ports, signal);
  for (const path of [subject.configDir, subject.stateDir, subject.cacheDir]) {
    if (!await ports.exists(path, signal)) {
      await steps.take("make", path, () => ports.makePrivateDir(path, signal));
    }
  }
  if (linger && !await ports.exists(`/var/lib/systemd/linger/${subject.user}`, signal)) {
    await steps.run(["loginctl", "enable-linger", subject.user]);
  }
  const present = await readPresent(ports, signal);
  const wanted = hardening ? await tryHardening(ports, options, candidates, steps) : [];
  const plan = { unitDir: subject.unitDir, units, hardening: wanted, extraBinDir, present };
  for (const action of planUnits(plan)) {
    await steps.take(
      action.kind,
      action.path,
      () =>
        action.kind === "write"
          ? ports.writeText(action.path, action.text, signal)
          : ports.removeFile(action.path, signal),
    );
  }
  await steps.systemctl("daemon-reload");
  await steps.systemctl("try-restart", ...RUNNING);
  if (enable) {
    await steps.systemctl(
      "enable",
      "cicd-runner.service",
      "cicd-runner.socket",
      "cicd-clean.timer",
    );
    await steps.systemctl("start", "cicd-runner.socket", "cicd-clean.timer");
  }
  return steps.taken;
}

/**
 * Stops the programs and removes their units; jobs go on, and drop-ins that
 * were not installed stay.
 */
export async function uninstallUnits(
  ports: InstallPorts,
  options: InstallOptions,
): Promise<readonly InstallStep[]> {
  const { signal } = options;
  const steps = new Steps(ports, options);
  await steps.systemctl(
    "disable",
    "--now",
    "cicd-clean.timer",
    "cicd-runner.socket",
    "cicd-runner.service",
  );
  await steps.systemctl("stop", "cicd-agent@*.socket", "cicd-agent@*.service");
  for (const path of (await readPresent(ports, signal)).keys()) {
    await steps.take("remove", path, () => ports.removeFile(path, signal));
  }
  await steps.systemctl("daemon-reload");
  return steps.taken;
}

/** Makes steps, or plans them. */
class Steps {
  readonly taken: InstallStep[] = [];
  readonly #ports: InstallPorts;
  readonly #options: InstallOptions;

  constructor(ports: InstallPorts, options: InstallOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  async take(
    kind: InstallStep["kind"],
    what: string,
    make: () => Promise<void | string>,
  ): Promise<void> {
    const { dryRun, signal } = this.#options;
    if (dryRun) return this.#report({ kind, what, outcome: "planned" });
    signal.throwIfAborted();
    try {
      const detail = await make();
      this.#report({ kind, what, outcome: "done", ...(detail ? { detail } : {}) });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const detail = error instanceof Error ? error.message : String(error);
      this.#report({ kind, what, outcome: "failed", detail });
    }
  }

  async run(argv: readonly string[]): Promise<void> {
    await this.take("run", argv.join(" "), async () => {
      const ended = await this.#ports.run(argv, this.#options.signal);
      if (ended === undefined) throw new Error(`there is no ${argv[0]} on this machine`);
      if (ended.code !== 0) throw new Error(ended.stderr.trim() || `exit code ${ended.code}`);
    });
  }

  async systemctl(...args: readonly string[]): Promise<void> {
    await this.run(["systemctl", "--user", ...args]);
  }

  #report(step: InstallStep): void {
    this.taken.push(step);
    this.#options.onStep?.(step);
  }
}

async function tryHardening(
  ports: InstallPorts,
  { signal }: InstallOptions,
  candidates: readonly UnitFile[],
  steps: Steps,
): Promise<readonly UnitFile[]> {
  const found: UnitFile[] = [];
  for (const candidate of candidates) {
    await steps.take("try", candidate.name, async () => {
      const working = await workingHardening(ports, [candidate], signal);
      found.push(...working);
      return working.length > 0 ? "it works here" : "left out: it does not work here";
    });
  }
  return found;
}

/** The folder to add to the units' PATH, if it does not lead to the programs by itself. */
async function findExtraBinDir(
  { subject, exists }: InstallPorts,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const folder of searchedBinDirs(subject.home)) {
    if (await exists(`${folder}/cicd-runner`, signal)) return undefined;
  }
  return subject.binDir;
}

async function readAll(
  { readText }: InstallPorts,
  folder: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly UnitFile[]> {
  return await Promise.all(names.map(async (name) => {
    const text = await readText(`${folder}/${name}`, signal);
    if (text === undefined) {
      throw new CicdError(
        "not_found",
        `Cannot install the units: "${folder}/${name}" is missing; install the programs again`,
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
