/**
 * The transient unit of an attempt.
 *
 * @module
 */
import type { AttemptRequest } from "@lib/spine/jobs/executor.ts";
import type { ExecCommand } from "@lib/foundations/systemd/unit_property.ts";
import { jobUnitName, projectSliceName } from "@lib/foundations/systemd/unit_name.ts";
import { type UnitProperty, unitProperty } from "@lib/foundations/systemd/unit_property.ts";
import { logFilesOf } from "@lib/spine/executors/directory_files.ts";
import { recordResultArgv, RESULT_VARIABLES } from "@lib/spine/executors/record_result.ts";

/** What the request does not say. */
export interface JobUnitOptions {
  /** Absolute. */
  readonly workdir: string;
  /** The resolved program and its arguments. */
  readonly argv: readonly [path: string, ...args: string[]];
  /** Holds the variables that do not go through the bus; absent if there are none. */
  readonly environmentFile?: string;
  /** The variables that go through the bus. */
  readonly environment: Readonly<Record<string, string>>;
  /** Names the service manager would hand to every unit. */
  readonly managerEnvironment: readonly string[];
  readonly runtimeDir: string;
  /** A file that holds the program for `ExecStopPost=`. */
  readonly recorder: string;
}

/**
 * Shortest time between the polite signal and SIGKILL, in milliseconds.
 *
 * systemd gives the same time to `ExecStopPost=`: with less of it a busy
 * machine would lose the record of the end.
 */
const MIN_STOP_MS = 2_000;

/** What systemd 252 to 257 hand to a service by themselves. */
const SERVICE_VARIABLES = [
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
 * @throws {RangeError} If a path holds what systemd cannot keep.
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
  const { memoryBytes, cpu, tasks } = spec.limits;
  return [
    unitProperty.description(`Attempt ${ref.number} of job ${ref.jobId} of ${ref.project}`),
    unitProperty.slice(projectSliceName(ref.project)),
    unitProperty.type("exec"),
    unitProperty.collectMode("inactive-or-failed"),
    // systemd makes the log files as it forks the job, and the record after its end: once one
    // of them is there, no start request, however late, gets past this line.
    unitProperty.assertPathAbsent(...logs, directory.resultFile),
    unitProperty.standardInputNull(),
    unitProperty.standardOutputAppend(outputLog),
    unitProperty.standardErrorAppend(errorLog),
    // Not an error if missing: a job may remove it, and ExecStopPost= starts there too.
    unitProperty.workingDirectory(`-${workdir}`),
    unitProperty.umask(0o022),
    unitProperty.ignoreSigpipe(false),
    unitProperty.environment(environment),
    unitProperty.unsetEnvironment([...unset].filter((name) => !own.has(name))),
    ...(environmentFile === undefined
      ? []
      : [unitProperty.environmentFile(environmentFile, false)]),
    unitProperty.cpuAccounting(true),
    unitProperty.memoryAccounting(true),
    unitProperty.tasksAccounting(true),
    ...(memoryBytes === undefined
      ? []
      : [unitProperty.memoryMax(memoryBytes), unitProperty.memorySwapMax(0)]),
    ...(cpu === undefined ? [] : [unitProperty.cpuQuota(cpu)]),
    ...(tasks === undefined ? [] : [unitProperty.tasksMax(tasks)]),
    unitProperty.oomPolicy("kill"),
    unitProperty.runtimeMax(spec.timeoutMs),
    unitProperty.killMode("control-group"),
    unitProperty.timeoutStop(Math.max(spec.graceMs, MIN_STOP_MS)),
    // Zero would mean "without limit" to systemd; no grace is no polite signal at all.
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

/**
 * Splits a job's variables into those for the bus and those for a file.
 *
 * Secrets never go through the bus, where every process of the user can read a
 * unit's properties. A large environment does not either: systemd keeps it as
 * one line of a unit file, and reads no line over a mebibyte.
 *
 * @throws {RangeError} If a secret has the name of a variable that says how the
 * job ended.
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
      `Cannot hand over secret "${reserved}": systemd uses a variable of that name for itself`,
    );
  }
  // Of a variable and a secret of one name the secret counts; these are handed over apart.
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

/** Hands variables that only `ExecStopPost=` may see from systemd to the job's program alone. */
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
