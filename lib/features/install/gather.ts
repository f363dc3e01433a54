/**
 * Gathers the facts that `doctor` checks.
 *
 * @module
 */
import type {
  CommandEnd,
  DoctorFacts,
  EngineAnswer,
  GuardedPath,
  ManagerFacts,
  PathFacts,
  RunnerAnswer,
  UnitFacts,
  UnitInstance,
} from "@lib/features/install/facts.ts";
import { UNIT_NAMES, type UnitFile } from "@lib/features/install/unit_files.ts";

/** The machine, as `doctor` sees it. Nothing here changes it. */
export interface DoctorPorts {
  /** What was configured and decided before. */
  readonly subject: DoctorSubject;
  /** Runs a program of the machine; `undefined` if there is none of that name. */
  readonly run: (argv: readonly string[], signal: AbortSignal) => Promise<CommandEnd | undefined>;
  /** `undefined` if the file does not exist or cannot be read. */
  readonly readText: (path: string, signal: AbortSignal) => Promise<string | undefined>;
  readonly stat: (path: string, signal: AbortSignal) => Promise<PathFacts>;
  /** Bytes free for the user on the file system of `path`, or of its nearest parent. */
  readonly freeBytes: (path: string, signal: AbortSignal) => Promise<number | undefined>;
  /** Looks for a container engine and asks what it is; has a deadline of its own. */
  readonly askEngine: (signal: AbortSignal) => Promise<EngineAnswer>;
  /** Asks the runner for its health; has a deadline of its own. */
  readonly askRunner: (signal: AbortSignal) => Promise<RunnerAnswer>;
}

/** Whom and what `doctor` examines. */
export interface DoctorSubject {
  readonly user: string;
  readonly uid: number;
  readonly home: string;
  /** `$XDG_RUNTIME_DIR`, if it is set. */
  readonly runtimeDir: string | undefined;
  readonly configDir: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly socket: string;
  readonly keyFiles: readonly string[];
  /** Holds the unit files of this version. */
  readonly unitsDir: string;
  readonly diskFloorBytes: number;
  readonly version: string;
}

/** Gathers the facts; each question is asked once. */
export async function gatherFacts(ports: DoctorPorts, signal: AbortSignal): Promise<DoctorFacts> {
  const { subject } = ports;
  const { runtimeDir } = subject;
  const [manager, lingers, runtime, paths, freeBytes, engine, git, gitLfs, runner] = await Promise
    .all([
      gatherManager(ports, signal),
      gatherLingering(ports, subject.user, signal),
      runtimeDir === undefined ? undefined : ports.stat(runtimeDir, signal),
      gatherPaths(ports, signal),
      ports.freeBytes(subject.stateDir, signal),
      ports.askEngine(signal),
      gatherVersion(ports, ["git", "--version"], signal),
      gatherVersion(ports, ["git", "lfs", "version"], signal),
      ports.askRunner(signal),
    ]);
  return {
    user: subject.user,
    uid: subject.uid,
    manager,
    lingers,
    runtimeDir: runtime,
    paths,
    disk: { path: subject.stateDir, freeBytes, floorBytes: subject.diskFloorBytes },
    units: manager.kind === "answers" ? await gatherUnits(ports, signal) : [],
    engine,
    git,
    gitLfs,
    runner,
    version: subject.version,
  };
}

async function gatherManager(ports: DoctorPorts, signal: AbortSignal): Promise<ManagerFacts> {
  const booted = await ports.stat("/run/systemd/system", signal);
  if (booted.kind === "missing") return { kind: "no_systemd" };
  const answer = await ports.run(
    ["systemctl", "--user", "show", "--property=Version", "--property=ControlGroup"],
    signal,
  );
  if (answer === undefined) return { kind: "unreachable", why: "there is no systemctl" };
  const [properties] = parseShow(answer.stdout);
  const version = properties?.get("Version");
  if (answer.code !== 0 || version === undefined) {
    return { kind: "unreachable", why: firstLine(answer.stderr) || "systemctl gives no answer" };
  }
  const group = properties?.get("ControlGroup") ?? "";
  const file = `/sys/fs/cgroup${group}/cgroup.controllers`;
  // The runtime lets programs read /sys only with every permission there is; cat(1) may.
  const text = await ports.run(["cat", file], signal);
  const controllers = text?.code === 0
    ? text.stdout.split(/\s+/).filter((name) => name !== "")
    : undefined;
  return { kind: "answers", version, controllers };
}

/** Returns whether the user's manager outlives the last session; `undefined`: nobody says. */
export async function gatherLingering(
  ports: Pick<DoctorPorts, "run" | "stat">,
  user: string,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const mark = await ports.stat(`/var/lib/systemd/linger/${user}`, signal);
  if (mark.kind === "found") return true;
  const answer = await ports.run(
    ["loginctl", "show-user", user, "--property=Linger"],
    signal,
  );
  const linger = answer === undefined ? undefined : parseShow(answer.stdout)[0]?.get("Linger");
  return linger === undefined ? undefined : linger === "yes";
}

async function gatherPaths(
  { subject, stat }: DoctorPorts,
  signal: AbortSignal,
): Promise<readonly GuardedPath[]> {
  const wanted: readonly (readonly [GuardedPath["role"], string])[] = [
    ["config_dir", subject.configDir],
    ["config_file", subject.configFile],
    ["state_dir", subject.stateDir],
    ["socket", subject.socket],
    ...subject.keyFiles.map((path) => ["key_file", path] as const),
  ];
  return await Promise.all(wanted.map(async ([role, path]) => ({
    role,
    facts: await stat(path, signal),
  })));
}

/** The first line that a program says of itself; `undefined` if it is not there, or fails. */
async function gatherVersion(
  { run }: DoctorPorts,
  argv: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const answer = await run(argv, signal);
  return answer?.code === 0 ? firstLine(answer.stdout) : undefined;
}

async function gatherUnits(ports: DoctorPorts, signal: AbortSignal): Promise<readonly UnitFacts[]> {
  const answer = await ports.run([
    "systemctl",
    "--user",
    "show",
    "--property=Id,FragmentPath,ActiveState,Result,NeedDaemonReload,KillMode",
    "--",
    "cicd-runner.socket",
    "cicd-runner.service",
    "cicd.slice",
    "cicd-clean.timer",
    "cicd-clean.service",
    "cicd-runner@*.service",
    "cicd-agent@*.socket",
    "cicd-agent@*.service",
  ], signal);
  const loaded = parseShow(answer?.stdout ?? "");
  const units: UnitFacts[] = [];
  for (const file of await readUnitFiles(ports, signal)) {
    const own = loaded.filter((each) => templateOf(each.get("Id") ?? "") === file.name);
    const path = own.map((each) => each.get("FragmentPath")).find((each) => each) ??
      await findUnit(ports, file.name, signal);
    const installedText = path === undefined ? undefined : await ports.readText(path, signal);
    units.push({ file, installedText, instances: own.map(toInstance) });
  }
  return units;
}

async function readUnitFiles(
  { subject, readText }: DoctorPorts,
  signal: AbortSignal,
): Promise<readonly UnitFile[]> {
  const files: UnitFile[] = [];
  for (const name of UNIT_NAMES) {
    const text = await readText(`${subject.unitsDir}/${name}`, signal);
    if (text !== undefined) files.push({ name, text });
  }
  return files;
}

/** Finds a template none of whose instances is loaded, in the order of systemd. */
async function findUnit(
  { subject, stat }: DoctorPorts,
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const config = subject.configDir.replace(/\/[^/]*$/, "");
  for (
    const directory of [`${config}/systemd/user`, "/etc/systemd/user", "/usr/lib/systemd/user"]
  ) {
    const path = `${directory}/${name}`;
    if ((await stat(path, signal)).kind === "found") return path;
  }
  return undefined;
}

function toInstance(properties: ReadonlyMap<string, string>): UnitInstance {
  return {
    name: properties.get("Id") ?? "",
    activeState: properties.get("ActiveState") ?? "",
    result: properties.get("Result") ?? "",
    needsReload: properties.get("NeedDaemonReload") === "yes",
    killMode: properties.get("KillMode") ?? "",
  };
}

/** `cicd-agent@web.service` comes from `cicd-agent@.service`. */
function templateOf(name: string): string {
  return name.replace(/@.*(\.[a-z]+)$/, "@$1");
}

/** Reads the output of `systemctl show`: a block of `NAME=value` lines for each unit. */
export function parseShow(text: string): readonly ReadonlyMap<string, string>[] {
  return text.trim().split(/\n\n+/).filter((block) => block !== "").map((block) =>
    new Map(
      block.split("\n").flatMap((line) => {
        const at = line.indexOf("=");
        return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
      }),
    )
  );
}

function firstLine(text: string): string {
  return text.trim().split("\n", 1)[0] ?? "";
}
