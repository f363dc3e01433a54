/**
 * Properties of units, with the types that systemd's bus interface wants.
 *
 * Names and types are those of `org.freedesktop.systemd1(5)` and of systemd's
 * own `systemd-run`; sizes are bytes, times milliseconds.
 *
 * @module
 */
import type { DBusValue, Variant } from "@lib/foundations/systemd/dbus/wire.ts";

/** One property of a unit. */
export interface UnitProperty {
  readonly name: string;
  readonly value: Variant;
}

/** A command of a service: never a shell line, and every `$` and `%` in it stands for itself. */
export interface ExecCommand {
  /** Absolute path, then the arguments; the path is also `argv[0]`. */
  readonly argv: readonly [path: string, ...args: string[]];
  /** A failure of the command does not count. @default {false} */
  readonly ignoreFailure?: boolean;
}

/** What systemd takes as "without limit". */
const INFINITY = 0xffff_ffff_ffff_ffffn;

/** Makes the properties this suite sets. */
export const unitProperty = {
  description: (text: string) => property("Description", "s", text),
  slice: (name: string) => property("Slice", "s", name),
  /** `exec`: the unit counts as started once its program was executed. */
  type: (type: "exec" | "simple" | "oneshot") => property("Type", "s", type),
  /** `inactive-or-failed`: forget the unit when it has failed, too. */
  collectMode: (mode: "inactive" | "inactive-or-failed") => property("CollectMode", "s", mode),
  standardInputNull: () => property("StandardInput", "s", "null"),
  standardOutputAppend: (path: string) => property("StandardOutputFileToAppend", "s", path),
  standardErrorAppend: (path: string) => property("StandardErrorFileToAppend", "s", path),
  memoryMax: (bytes: number | undefined) => limit("MemoryMax", bytes),
  memoryHigh: (bytes: number | undefined) => limit("MemoryHigh", bytes),
  memorySwapMax: (bytes: number | undefined) => limit("MemorySwapMax", bytes),
  tasksMax: (count: number | undefined) => limit("TasksMax", count),
  /** @param cpus How many CPUs at once; 0.5 is half of one. */
  cpuQuota: (cpus: number | undefined) =>
    limit("CPUQuotaPerSecUSec", cpus === undefined ? undefined : Math.max(1, cpus * 1_000_000)),
  cpuWeight: (weight: number | undefined) => limit("CPUWeight", weight),
  ioWeight: (weight: number | undefined) => limit("IOWeight", weight),
  cpuAccounting: (on: boolean) => property("CPUAccounting", "b", on),
  memoryAccounting: (on: boolean) => property("MemoryAccounting", "b", on),
  tasksAccounting: (on: boolean) => property("TasksAccounting", "b", on),
  runtimeMax: (ms: number | undefined) => time("RuntimeMaxUSec", ms),
  timeoutStop: (ms: number | undefined) => time("TimeoutStopUSec", ms),
  killMode: (mode: "control-group" | "mixed") => property("KillMode", "s", mode),
  /** Also SIGHUP, right after SIGTERM: shells that wait for a terminal end by it. */
  sendSighup: (on: boolean) => property("SendSIGHUP", "b", on),
  oomPolicy: (policy: "continue" | "stop" | "kill") => property("OOMPolicy", "s", policy),
  /** @param score −1000 to 1000; lower than the manager's own is refused to a user. */
  oomScoreAdjust: (score: number) => property("OOMScoreAdjust", "i", score),
  /** systemd ignores SIGPIPE unless told otherwise, which breaks `yes | head`. */
  ignoreSigpipe: (on: boolean) => property("IgnoreSIGPIPE", "b", on),
  noNewPrivileges: (on: boolean) => property("NoNewPrivileges", "b", on),
  /** Bytes of core dump, soft and hard limit. */
  limitCore: (bytes: number) => property("LimitCORE", "t", BigInt(bytes)),
  umask: (mask: number) => property("UMask", "u", mask),
  workingDirectory: (path: string) => property("WorkingDirectory", "s", path),
  environment: (env: Readonly<Record<string, string>>) =>
    property("Environment", "as", Object.entries(env).map(([key, value]) => `${key}=${value}`)),
  unsetEnvironment: (names: readonly string[]) => property("UnsetEnvironment", "as", names),
  /** @param optional A missing file is no error. */
  environmentFile: (path: string, optional: boolean) =>
    property("EnvironmentFiles", "a(sb)", [[path, optional]]),
  /** The start fails, and runs nothing, unless the path is absent. */
  assertPathAbsent: (...paths: readonly string[]) =>
    property("Asserts", "a(sbbs)", paths.map((path) => ["AssertPathExists", false, true, path])),
  execStart: (...commands: readonly ExecCommand[]) => exec("ExecStart", commands),
  /**
   * Commands after the end, however it came; they see `$SERVICE_RESULT`,
   * `$EXIT_CODE`, `$EXIT_STATUS`, and share the unit's environment, working
   * directory and limits. Every argument must be free of `$` and `;`.
   *
   * @throws {RangeError} If one is not.
   */
  execStopPost: (...commands: readonly ExecCommand[]) => {
    for (const arg of commands.flatMap(({ argv }) => argv)) refuseReloadHazard(arg);
    return exec("ExecStopPost", commands);
  },
} as const;

function property(name: string, signature: string, value: DBusValue): UnitProperty {
  return { name, value: { signature, value } };
}

function limit(name: string, value: number | undefined): UnitProperty {
  return property(name, "t", value === undefined ? INFINITY : BigInt(Math.round(value)));
}

function time(name: string, ms: number | undefined): UnitProperty {
  return property(name, "t", ms === undefined ? INFINITY : BigInt(Math.round(ms * 1_000)));
}

/**
 * systemd 252 reads these two back from the transient unit's file with a
 * backslash before them, so that a command that is still to come would change
 * its meaning with a daemon-reload.
 */
function refuseReloadHazard(arg: string): void {
  if (!/[$;]/.test(arg)) return;
  throw new RangeError(
    `Cannot use ${
      JSON.stringify(arg)
    } in ExecStopPost=: '$' and ';' do not survive a daemon-reload`,
  );
}

/**
 * The plain form, not `ExecStartEx`: systemd 252 writes the latter into the
 * transient unit's file in a way it cannot read back, so that a daemon-reload
 * takes the commands from a running unit, its `ExecStopPost=` included. The
 * plain form has no flag against the expansion of `$`, hence the doubling.
 */
function exec(name: string, commands: readonly ExecCommand[]): UnitProperty {
  return property(
    name,
    "a(sasb)",
    commands.map(({ argv, ignoreFailure = false }) => [
      argv[0],
      argv.map((arg) => arg.replaceAll("$", "$$$$")),
      ignoreFailure,
    ]),
  );
}
