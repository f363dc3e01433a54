/**
 * The transient unit of an attempt.
 *
 * @module
 */
import type { AttemptHandle, AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { ExecCommand } from "@lib/foundations/systemd/unit_property.ts";
import { jobUnitName, projectSliceName } from "@lib/foundations/systemd/unit_name.ts";
import { type UnitProperty, unitProperty } from "@lib/foundations/systemd/unit_property.ts";
import { logFilesOf } from "@lib/spine/executors/directory_files.ts";
import { recordResultArgv, RESULT_VARIABLES } from "@lib/spine/executors/record_result.ts";

/** Options for {@linkcode jobUnitProperties}. */
export interface JobUnitOptions {
  /** Absolute. */
  readonly workdir: string;
  /** The resolved program and its arguments. */
  readonly argv: readonly [path: string, ...args: string[]];
  /** A file of the variables that do not go over the bus; absent if there are none. */
  readonly environmentFile?: string;
  /** The variables that go over the bus. */
  readonly environment: Readonly<Record<string, string>>;
  /** Names of the variables that the service manager passes to every unit. */
  readonly managerEnvironment: readonly string[];
  readonly runtimeDir: string;
  /** @default {022} */
  readonly umask?: number;
  /** The file of the program for `ExecStopPost=`. */
  readonly recorder: string;
}

/**
 * Shortest time between SIGTERM and SIGKILL of systemd, in milliseconds; a living agent keeps to a
 * shorter grace period.
 *
 * systemd applies it to `ExecStopPost=` too: with less, a busy machine would lose the record.
 */
export const MIN_STOP_MS = 2_000;

/** Variables that systemd 252 to 257 set for a service. */
export const SERVICE_VARIABLES = [
  "CREDENTIALS_DIRECTORY",
  "FDSTORE",
  "INVOCATION_ID",
  "JOURNAL_STREAM",
  "LISTEN_FDNAMES",
  "LISTEN_FDS",
  "LISTEN_PID",
  "LOG_NAMESPACE",
  "MAINPID",
  "MANAGERPID",
  "MANAGERPIDFDID",
  "MEMORY_PRESSURE_WATCH",
  "MEMORY_PRESSURE_WRITE",
  "NOTIFY_SOCKET",
  "PIDFILE",
  "SYSTEMD_EXEC_PID",
  "TERM",
  "WATCHDOG_PID",
  "WATCHDOG_USEC",
] as const;

/**
 * Describes the unit; the same attempt always gets the same unit.
 *
 * @throws {RangeError} If systemd cannot represent a path.
 */
export function jobUnitProperties(
  { ref, spec, env, secrets, directory }: AttemptRequest,
  options: JobUnitOptions,
): readonly UnitProperty[] {
  const { workdir, argv, environment, environmentFile, managerEnvironment, runtimeDir, recorder } =
    options;
  const logs = logFilesOf(directory, spec.output);
  const [outputLog = "", errorLog = outputLog] = logs;
  const own = new Set([...Object.keys(env), ...secrets.keys()]);
  const unset = new Set([...SERVICE_VARIABLES, ...managerEnvironment]);
  return [
    unitProperty.description(`Attempt ${ref.number} of job ${ref.jobId} of ${ref.project}`),
    unitProperty.slice(projectSliceName(ref.project)),
    unitProperty.type("exec"),
    unitProperty.collectMode("inactive-or-failed"),
    // systemd creates the log files as it forks the job, and the record after its end: once one
    // of them exists, every later start request fails here. So does that of an attempt given up.
    unitProperty.assertPathAbsent(...logs, directory.resultFile, directory.fenceFile),
    unitProperty.standardInputNull(),
    unitProperty.standardOutputAppend(outputLog),
    unitProperty.standardErrorAppend(errorLog),
    // May be missing: a job may remove it, and ExecStopPost= starts there too.
    unitProperty.workingDirectory(`-${workdir}`),
    unitProperty.umask(options.umask ?? 0o022),
    unitProperty.ignoreSigpipe(false),
    unitProperty.environment(environment),
    unitProperty.unsetEnvironment([...unset].filter((name) => !own.has(name))),
    ...(environmentFile === undefined
      ? []
      : [unitProperty.environmentFile(environmentFile, false)]),
    ...limitProperties(spec.limits),
    unitProperty.oomPolicy("kill"),
    unitProperty.runtimeMax(spec.timeoutMs),
    unitProperty.killMode("control-group"),
    unitProperty.timeoutStop(Math.max(spec.graceMs, MIN_STOP_MS)),
    // Zero would mean "no limit" to systemd; without a grace period there is no SIGTERM.
    ...(spec.graceMs === 0 ? [killAtOnce()] : []),
    unitProperty.execStart(guardResultVariables(argv, env)),
    unitProperty.execStopPost({
      argv: recordResultArgv({
        recorder,
        resultFile: directory.resultFile,
        unit: jobUnitName(ref),
        runtimeDir,
        ...(environmentFile === undefined ? {} : { environmentFile }),
      }),
    }),
  ];
}

/** Describes the unit that keeps the limits of an ended attempt for people, and ends by itself. */
export function holdUnitProperties(
  { ref, spec }: Pick<AttemptHandle, "ref" | "spec">,
  ms: number,
): readonly UnitProperty[] {
  return [
    unitProperty.description(`Hold of attempt ${ref.number} of job ${ref.jobId} of ${ref.project}`),
    unitProperty.slice(projectSliceName(ref.project)),
    unitProperty.type("exec"),
    unitProperty.collectMode("inactive-or-failed"),
    unitProperty.standardInputNull(),
    ...limitProperties(spec.limits),
    // A person sees what was killed, and goes on.
    unitProperty.oomPolicy("continue"),
    unitProperty.runtimeMax(Math.max(1, ms)),
    unitProperty.killMode("control-group"),
    unitProperty.sendSighup(true),
    unitProperty.timeoutStop(MIN_STOP_MS),
    unitProperty.execStart({ argv: ["/bin/sh", "-c", "exec sleep infinity"] }),
  ];
}

/** Returns the properties of the limits of a job or a terminal, and of what they are told by. */
export function limitProperties(
  { memoryBytes, cpu, tasks }: AttemptHandle["spec"]["limits"],
): readonly UnitProperty[] {
  return [
    unitProperty.cpuAccounting(true),
    unitProperty.memoryAccounting(true),
    unitProperty.tasksAccounting(true),
    ...(memoryBytes === undefined
      ? []
      : [unitProperty.memoryMax(memoryBytes), unitProperty.memorySwapMax(0)]),
    ...(cpu === undefined ? [] : [unitProperty.cpuQuota(cpu)]),
    ...(tasks === undefined ? [] : [unitProperty.tasksMax(tasks)]),
  ];
}

/**
 * Splits a job's variables into those for the bus and those for a file.
 *
 * Secrets never go over the bus, where every process of the user can read a unit's properties. Nor
 * does a large environment: systemd stores it as one line of a unit file, and reads no line over a
 * mebibyte.
 *
 * @throws {RangeError} If a secret has the name of one of {@linkcode RESULT_VARIABLES}.
 */
export function splitEnvironment(
  { env, secrets }: Pick<AttemptRequest, "env" | "secrets">,
): {
  readonly environment: Readonly<Record<string, string>>;
  readonly file: readonly (readonly [string, string])[];
} {
  const reserved = RESULT_VARIABLES.find((name) => secrets.has(name));
  if (reserved !== undefined) {
    throw new RangeError(
      `Cannot pass on secret "${reserved}": systemd reserves a variable of that name`,
    );
  }
  // A secret wins over a variable of its name; reserved names go into the command line.
  const plain = Object.entries(env).filter(([name]) => !secrets.has(name) && !isReserved(name));
  const size = plain.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
  return size > MAX_BUS_ENVIRONMENT
    ? { environment: {}, file: [...plain, ...secrets] }
    : { environment: Object.fromEntries(plain), file: [...secrets] };
}

const MAX_BUS_ENVIRONMENT = 64 * 1024;

function isReserved(name: string): boolean {
  return RESULT_VARIABLES.some((reserved) => reserved === name);
}

/** Passes variables that systemd sets for `ExecStopPost=` to the job's program alone. */
function guardResultVariables(
  argv: readonly [path: string, ...args: string[]],
  env: Readonly<Record<string, string>>,
): ExecCommand {
  const assignments = RESULT_VARIABLES.flatMap((name) =>
    env[name] === undefined ? [] : [`${name}=${env[name]}`]
  );
  return { argv: assignments.length === 0 ? argv : ["/usr/bin/env", ...assignments, ...argv] };
}

function killAtOnce(): UnitProperty {
  return { name: "KillSignal", value: { signature: "i", value: 9 } };
}
