/**
 * Properties of units, with the names and types of `org.freedesktop.systemd1(5)`
 * and `systemd-run`; sizes are bytes, times milliseconds.
 *
 * @module
 */
import type { DBusValue, Variant } from "@lib/foundations/systemd/dbus/types.ts";

/** One property of a unit. */
export interface UnitProperty {
  readonly name: string;
  readonly value: Variant;
}

/** A command of a service; no shell runs, and `$` and `%` are literal. */
export interface ExecCommand {
  /** Absolute path, then the arguments; the path is also `argv[0]`. */
  readonly argv: readonly [path: string, ...args: string[]];
  /** Ignores a failure of the command. @default {false} */
  readonly ignoreFailure?: boolean;
}

/** Means "no limit" where a limit is meant, and "not accounted" for usage. */
export const INFINITY = 0xffff_ffff_ffff_ffffn;

/** Makes the properties this suite sets. */
export const unitProperty = {
  description: (text: string) => property("Description", "s", text),
  slice: (name: string) => property("Slice", "s", name),
  /** The unit is stopped as soon as the other one ends, for whatever reason. */
  bindsTo: (name: string) => property("BindsTo", "as", [name]),
  /** `exec`: the unit counts as started once its program is executed. */
  type: (type: "exec" | "simple" | "oneshot") => property("Type", "s", type),
  /** `inactive-or-failed`: a failed unit is unloaded too. */
  collectMode: (mode: "inactive" | "inactive-or-failed") => property("CollectMode", "s", mode),
  standardInputNull: () => property("StandardInput", "s", "null"),
  standardOutputAppend: (path: string) => property("StandardOutputFileToAppend", "s", path),
  standardErrorAppend: (path: string) => property("StandardErrorFileToAppend", "s", path),
  /** Standard input, output and error are a terminal, which becomes the program's own. */
  terminal: (path: string) => [
    property("TTYPath", "s", path),
    // "tty" would first watch the terminal in case another session has it, and the end of that watch
    // makes the kernel wait for all processors, some 10 ms; a new terminal is nobody's.
    property("StandardInput", "s", "tty-fail"),
    ...["StandardOutput", "StandardError"].map((name) => property(name, "s", "tty")),
  ],
  /** Also sends SIGHUP when the unit is stopped: an interactive shell ignores SIGTERM. */
  sendSighup: (on: boolean) => property("SendSIGHUP", "b", on),
  memoryMax: (bytes: number | undefined) => limit("MemoryMax", bytes),
  memoryHigh: (bytes: number | undefined) => limit("MemoryHigh", bytes),
  memorySwapMax: (bytes: number | undefined) => limit("MemorySwapMax", bytes),
  tasksMax: (count: number | undefined) => limit("TasksMax", count),
  /** @param cpus CPUs at once; 0.5 is half of one. */
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
  oomPolicy: (policy: "continue" | "stop" | "kill") => property("OOMPolicy", "s", policy),
  /** systemd ignores SIGPIPE by default, which breaks `yes | head`. */
  ignoreSigpipe: (on: boolean) => property("IgnoreSIGPIPE", "b", on),
  /** Bytes of core dump, soft and hard limit. */
  limitCore: (bytes: number) => property("LimitCORE", "t", BigInt(bytes)),
  umask: (mask: number) => property("UMask", "u", mask),
  workingDirectory: (path: string) => property("WorkingDirectory", "s", path),
  environment: (env: Readonly<Record<string, string>>) =>
    property("Environment", "as", Object.entries(env).map(([key, value]) => `${key}=${value}`)),
  unsetEnvironment: (names: readonly string[]) => property("UnsetEnvironment", "as", names),
  /** @param optional A missing file is not an error. */
  environmentFile: (path: string, optional: boolean) =>
    property("EnvironmentFiles", "a(sb)", [[path, optional]]),
  /** The start fails, and runs nothing, if a path exists. */
  assertPathAbsent: (...paths: readonly string[]) =>
    property("Asserts", "a(sbbs)", paths.map((path) => ["AssertPathExists", false, true, path])),
  execStart: (...commands: readonly ExecCommand[]) => exec("ExecStart", commands),
  /**
   * Commands that run after every kind of end; they see `$SERVICE_RESULT`,
   * `$EXIT_CODE`, `$EXIT_STATUS`, and share the unit's environment, working
   * directory and limits.
   *
   * @throws {RangeError} If an argument contains `$` or `;`.
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
 * systemd 252 reads these two characters back from the transient unit's file with
 * a backslash, so a daemon-reload would change the meaning of a pending command.
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
 * Uses the plain form, not `ExecStartEx`: systemd 252 cannot read the latter back
 * from the transient unit's file, so a daemon-reload removes the commands of a
 * running unit, its `ExecStopPost=` included. The plain form has no flag against
 * the expansion of `$`, hence the doubling.
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
