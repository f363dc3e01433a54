/**
 * The facts about a machine that `doctor` checks, and how they are gathered.
 *
 * @module
 */
import type { EngineFacts } from "@lib/foundations/docker/engine_types.ts";
import type { CommandResult } from "@lib/foundations/process/run_command.ts";
import { UNIT_NAMES, type UnitFile } from "@lib/features/install/unit_files.ts";

/** The facts; `undefined` means that one could not be found out. */
export type DoctorFacts = Awaited<ReturnType<typeof gatherFacts>>;

/** The user's service manager. */
export type ManagerFacts =
  /** The machine was not booted with systemd. */
  | { readonly kind: "no_systemd" }
  /** systemd runs, but the user's manager cannot be reached. */
  | { readonly kind: "unreachable"; readonly why: string }
  | {
    readonly kind: "answers";
    /** As systemd gives it, such as `252.39-1~deb12u2`. */
    readonly version: string;
    /** Controllers delegated to the manager, such as `memory`. */
    readonly controllers: readonly string[] | undefined;
  };

/** A path as stat(2) sees it. */
export type PathFacts =
  | { readonly kind: "missing"; readonly path: string }
  | {
    readonly kind: "found";
    readonly path: string;
    /** The permission bits. */
    readonly mode: number;
    readonly uid: number;
  };

/** A path that only its owner should be able to use. */
export interface GuardedPath {
  readonly role: "config_dir" | "config_file" | "state_dir" | "socket" | "key_file";
  readonly facts: PathFacts;
}

/** A unit as this version ships it, and as the machine has it. */
export interface UnitFacts {
  readonly file: UnitFile;
  /** `undefined`: it is not installed. */
  readonly installedText: string | undefined;
  readonly instances: readonly UnitInstance[];
}

/** A loaded unit. */
export interface UnitInstance {
  readonly name: string;
  /** systemd's `ActiveState`. */
  readonly activeState: string;
  /** systemd's `Result`. */
  readonly result: string;
  readonly needsReload: boolean;
  /** systemd's `KillMode`; empty for a unit without processes. */
  readonly killMode: string;
}

/** The runner's answer on its socket. */
export type RunnerAnswer =
  | {
    readonly kind: "answered";
    readonly version: string | undefined;
    /** Jobs whose secrets were sealed with another key file. */
    readonly unreadableSecrets?: number;
    /** Why it takes no work. */
    readonly unreadyReasons?: readonly string[];
    /** Agents that did not answer, or could not do their work, when last asked. */
    readonly agentProblems?: readonly { readonly project: string; readonly reason: string }[];
  }
  /** It answers every request with the reason why it cannot start or serve. */
  | { readonly kind: "refuses"; readonly why: string }
  | { readonly kind: "silent"; readonly why: string };

/** The container engine's answer. */
export type EngineAnswer =
  | { readonly kind: "none" }
  | {
    readonly kind: "silent";
    readonly why: string;
    /** The configuration or the environment names the engine; it was not searched for. */
    readonly isNamed: boolean;
  }
  /** The address is such as `unix:///run/docker.sock`. */
  | { readonly kind: "answers"; readonly address: string } & Pick<EngineFacts, EngineDetail>;

type EngineDetail =
  | "podman"
  | "version"
  | "rootless"
  | "cgroupVersion"
  | "storageDriver"
  | "enforces";

/** The machine, as `doctor` sees it. Nothing here changes it. */
export interface DoctorPorts {
  readonly subject: DoctorSubject;
  /** Runs a program of the machine; `undefined` if there is none of that name. */
  readonly run: (
    argv: readonly string[],
    signal: AbortSignal,
    stdin?: string,
  ) => Promise<Pick<CommandResult, "code" | "stdout" | "stderr"> | undefined>;
  /** `undefined` if the file does not exist or cannot be read. */
  readonly readText: (path: string, signal: AbortSignal) => Promise<string | undefined>;
  readonly stat: (path: string, signal: AbortSignal) => Promise<PathFacts>;
  /** Bytes free for the user on the file system of `path`, or of its nearest parent. */
  readonly freeBytes: (path: string, signal: AbortSignal) => Promise<number | undefined>;
  /** Looks for a container engine and asks what it is; has a deadline of its own. */
  readonly askEngine: (signal: AbortSignal) => Promise<EngineAnswer>;
  /** Asks the runner for its version; has a deadline of its own. */
  readonly askRunner: (signal: AbortSignal) => Promise<RunnerAnswer>;
}

/** The user and the paths that `doctor` examines. */
export interface DoctorSubject {
  readonly user: string;
  readonly uid: number;
  /** `$XDG_RUNTIME_DIR`, if it is set. */
  readonly runtimeDir: string | undefined;
  readonly configDir: string;
  readonly configFile: string;
  readonly stateDir: string;
  readonly socket: string;
  readonly keyFile: string;
  /** Holds the unit files of this version. */
  readonly unitsDir: string;
  /** With less free disk than this, new jobs are refused. */
  readonly diskFloorBytes: number;
  /** Version of the program that asks. */
  readonly version: string;
}

/** Gathers the facts; each question is asked once. */
export async function gatherFacts(ports: DoctorPorts, signal: AbortSignal) {
  const { user, uid, version, runtimeDir, stateDir, diskFloorBytes } = ports.subject;
  const [manager, lingers, runtime, paths, freeBytes, engine, git, gitLfs, runner] = await Promise
    .all([
      gatherManager(ports, signal),
      gatherLingering(ports, user, signal),
      runtimeDir === undefined ? undefined : ports.stat(runtimeDir, signal),
      gatherPaths(ports, signal),
      ports.freeBytes(stateDir, signal),
      ports.askEngine(signal),
      gatherVersion(ports, ["git", "--version"], signal),
      gatherVersion(ports, ["git", "lfs", "version"], signal),
      ports.askRunner(signal),
    ]);
  return {
    user,
    uid,
    manager,
    /** Tells if the user's manager outlives the last session. */
    lingers,
    runtimeDir: runtime,
    paths,
    disk: { path: stateDir, freeBytes, floorBytes: diskFloorBytes },
    units: manager.kind === "answers" ? await gatherUnits(ports, signal) : [],
    engine,
    git,
    gitLfs,
    runner,
    version,
  };
}

async function gatherManager(ports: DoctorPorts, signal: AbortSignal): Promise<ManagerFacts> {
  const booted = await ports.stat("/run/systemd/system", signal);
  if (booted.kind === "missing") return { kind: "no_systemd" };
  const answer = await ports.run(
    ["systemctl", "--user", "show", "--property=Version", "--property=ControlGroup"],
    signal,
  );
  if (answer === undefined) return { kind: "unreachable", why: "systemctl is not installed" };
  const [properties] = parseShow(answer.stdout);
  const version = properties?.get("Version");
  if (answer.code !== 0 || version === undefined) {
    return { kind: "unreachable", why: firstLine(answer.stderr) || "systemctl gives no answer" };
  }
  const group = properties?.get("ControlGroup") ?? "";
  // The runtime lets programs read /sys only with all permissions; cat(1) may.
  const text = await ports.run(["cat", `/sys/fs/cgroup${group}/cgroup.controllers`], signal);
  const controllers = text?.code === 0 ? text.stdout.split(/\s+/).filter(Boolean) : undefined;
  return { kind: "answers", version, controllers };
}

/** Tells if the user's manager outlives the last session; `undefined` if it is not known. */
export async function gatherLingering(
  ports: Pick<DoctorPorts, "run" | "stat">,
  user: string,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const mark = await ports.stat(`/var/lib/systemd/linger/${user}`, signal);
  if (mark.kind === "found") return true;
  const answer = await ports.run(["loginctl", "show-user", user, "--property=Linger"], signal);
  const linger = answer === undefined ? undefined : parseShow(answer.stdout)[0]?.get("Linger");
  return linger === undefined ? undefined : linger === "yes";
}

async function gatherPaths(
  { subject, stat }: DoctorPorts,
  signal: AbortSignal,
): Promise<readonly GuardedPath[]> {
  const paths = {
    config_dir: subject.configDir,
    config_file: subject.configFile,
    state_dir: subject.stateDir,
    socket: subject.socket,
    key_file: subject.keyFile,
  };
  const roles = ["config_dir", "config_file", "state_dir", "socket", "key_file"] as const;
  return await Promise.all(
    roles.map(async (role) => ({ role, facts: await stat(paths[role], signal) })),
  );
}

/** Returns the first line that a program prints; `undefined` if it is missing or fails. */
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
    ...UNIT_NAMES.map((name) => name.replace("@", "@*")),
  ], signal);
  const loaded = parseShow(answer?.stdout ?? "");
  const units: UnitFacts[] = [];
  for (const name of UNIT_NAMES) {
    const text = await ports.readText(`${ports.subject.unitsDir}/${name}`, signal);
    if (text === undefined) continue;
    const own = loaded.filter((each) => templateOf(each.get("Id") ?? "") === name);
    const path = own.map((each) => each.get("FragmentPath")).find((each) => each) ??
      await findUnit(ports, name, signal);
    const installedText = path === undefined ? undefined : await ports.readText(path, signal);
    units.push({ file: { name, text }, installedText, instances: own.map(toInstance) });
  }
  return units;
}

/** Finds a template none of whose instances is loaded, in the order of systemd. */
async function findUnit(
  { subject, stat }: DoctorPorts,
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const config = subject.configDir.replace(/\/[^/]*$/, "");
  for (const parent of [config, "/etc", "/usr/lib"]) {
    const path = `${parent}/systemd/user/${name}`;
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

/** Parses the output of `systemctl show`: a block of `NAME=value` lines for each unit. */
function parseShow(text: string): readonly ReadonlyMap<string, string>[] {
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
