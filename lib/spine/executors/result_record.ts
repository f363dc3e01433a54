/**
 * The record of an attempt's end: what `ExecStopPost=` or the supervisor
 * writes into `directory.resultFile` when no program of ours need be alive.
 *
 * Lines of `key=value`. The names in capitals and the names in small letters
 * have different writers: `systemctl show` and the shell. Unknown keys are
 * ignored, so an older agent reads the record of a newer writer.
 *
 * @module
 */

/** More than this is no record; the writer needs a tenth of it. */
export const RESULT_MAX_BYTES = 16 * 1024;

/** How the main process of an attempt ended. */
export type MainEnd =
  | { readonly kind: "exited"; readonly exitCode: number }
  /** `signal` is such as `SIGKILL`. */
  | { readonly kind: "killed"; readonly signal: string; readonly dumped: boolean }
  /** There was no main process: it could not be forked. */
  | { readonly kind: "none" };

/** What was recorded of an attempt's end; a figure that was not to be had is absent. */
export interface ResultRecord {
  /** systemd's word, such as `success`, `exit-code`, `timeout` or `oom-kill`. */
  readonly serviceResult: string;
  readonly end: MainEnd;
  /** The job's program could not be executed. */
  readonly notBegun?: true;
  /**
   * Whether systemd saw the unit become active. It does not if the program
   * could not be executed, nor if it ended sooner than systemd could look.
   */
  readonly activated?: boolean;
  /** How long the main process ran; recorded where `timeout` needs to be explained. */
  readonly mainRunMs?: number;
  /** Whether the service manager was on its way down. */
  readonly managerStopping?: boolean;
  readonly memoryPeakBytes?: number;
  /** The peak was looked for now and then: it may have been higher. */
  readonly memoryPeakSampled?: true;
  /** Processes of the attempt that the kernel killed for want of memory. */
  readonly oomKills?: number;
  /** Processes and threads that the kernel refused the attempt for want of a task. */
  readonly refusedTasks?: number;
  readonly cpuUsageUs?: number;
  readonly cpuThrottledUs?: number;
  /** When the main process was started, where its monitor knows better than the log file. */
  readonly startedAt?: number;
  readonly finishedAt?: number;
}

/** What {@linkcode parseResultRecord} makes of a text. */
export type ParsedResult =
  | { readonly kind: "record"; readonly record: ResultRecord }
  /** `problem` continues a sentence that begins with `the record`. */
  | { readonly kind: "unusable"; readonly problem: string };

/** Reads a record; only the three lines that say how the attempt ended are required. */
export function parseResultRecord(text: string): ParsedResult {
  if (text.length > RESULT_MAX_BYTES) {
    return unusable(`is longer than ${RESULT_MAX_BYTES} bytes`);
  }
  const lines = linesOf(text);
  const serviceResult = lines.get("service_result");
  if (serviceResult === undefined) return unusable("has no service_result");
  if (!/^[a-z][a-z-]{0,39}$/.test(serviceResult)) return unusable("has an invalid service_result");
  const end = parseEnd(lines.get("exit_code"), lines.get("exit_status"));
  if (typeof end === "string") return unusable(end);

  const count = (key: string) => parseCount(lines.get(key));
  const activeUs = count("ActiveEnterTimestampMonotonic");
  const startUs = count("ExecMainStartTimestampMonotonic");
  const exitUs = count("ExecMainExitTimestampMonotonic");
  const systemState = lines.get("SystemState");
  return {
    kind: "record",
    record: {
      serviceResult,
      end,
      ...(lines.get("begun") === "no" ? { notBegun: true } : {}),
      ...present("activated", activeUs === undefined ? undefined : activeUs > 0),
      ...present(
        "mainRunMs",
        startUs !== undefined && exitUs !== undefined && exitUs >= startUs
          ? Math.floor((exitUs - startUs) / 1_000)
          : undefined,
      ),
      ...present(
        "managerStopping",
        systemState === undefined ? undefined : systemState === "stopping",
      ),
      ...present("memoryPeakBytes", count("memory_peak")),
      ...(count("memory_peak_sampled") === 1 ? { memoryPeakSampled: true } : {}),
      ...present("oomKills", count("memory_oom_kill")),
      ...present("refusedTasks", count("pids_max")),
      ...present("cpuUsageUs", count("cpu_usage_usec") ?? parseTimes(lines.get("child_times"))),
      ...present("cpuThrottledUs", count("cpu_throttled_usec")),
      ...present("startedAt", count("started_at_ms")),
      ...present("finishedAt", count("finished_at_ms")),
    },
  };
}

/**
 * Why a program cannot be executed: as shells say it, 127 not found and 126 not
 * executable, or as systemd says it, 200 no such working directory.
 */
export type ExecFailureCode = 126 | 127 | 200;

/** Writes the record of an attempt whose program could not be executed at all. */
export function formatExecFailure(exitCode: ExecFailureCode, finishedAt: number): string {
  return [
    "service_result=exit-code",
    "exit_code=exited",
    `exit_status=${exitCode}`,
    "begun=no",
    `finished_at_ms=${finishedAt}`,
    "",
  ].join("\n");
}

/** The complete lines; of two with the same key the first counts. */
function linesOf(text: string): ReadonlyMap<string, string> {
  const lines = new Map<string, string>();
  const complete = text.slice(0, text.lastIndexOf("\n") + 1);
  for (const line of complete.split("\n")) {
    const at = line.indexOf("=");
    const key = line.slice(0, Math.max(at, 0));
    if (key !== "" && !lines.has(key)) lines.set(key, line.slice(at + 1));
  }
  return lines;
}

/** @returns What is wrong, as a text, if the two lines do not say how the process ended. */
function parseEnd(code: string | undefined, status: string | undefined): MainEnd | string {
  if (code === undefined) return "has no exit_code";
  if (status === undefined) return "has no exit_status";
  switch (code) {
    case "":
      return { kind: "none" };
    case "exited":
      return /^\d{1,3}$/.test(status) && Number(status) <= 255
        ? { kind: "exited", exitCode: Number(status) }
        : "has an exit_status that is no exit code";
    case "killed":
    case "dumped":
      return /^(SIG)?[A-Z][A-Z0-9]{1,9}([+-]\d{1,2})?$|^\d{1,3}$/.test(status)
        ? { kind: "killed", signal: signalName(status), dumped: code === "dumped" }
        : "has an exit_status that is no signal";
    default:
      return "has an unknown exit_code";
  }
}

function signalName(status: string): string {
  return status.startsWith("SIG") ? status : `SIG${status}`;
}

/** Microseconds from what a shell's `times` says of its children, such as `0m1.5s 0m0.25s`. */
function parseTimes(text: string | undefined): number | undefined {
  const [, userMin, user, systemMin, system] =
    /^(\d{1,6})m(\d{1,2}(?:[.,]\d{1,6})?)s (\d{1,6})m(\d{1,2}(?:[.,]\d{1,6})?)s$/
      .exec(text ?? "") ?? [];
  if (system === undefined) return undefined;
  const seconds = (part = "0") => Number(part.replace(",", "."));
  const minutes = Number(userMin) + Number(systemMin);
  return Math.round((minutes * 60 + seconds(user) + seconds(system)) * 1_000_000);
}

/** A count that fits a number exactly; anything else is as good as absent. */
function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const count = Number(text);
  return Number.isSafeInteger(count) ? count : undefined;
}

function present<K extends string, V>(
  key: K,
  value: V | undefined,
): { readonly [P in K]?: V } | Record<never, never> {
  return value === undefined ? {} : { [key]: value };
}

function unusable(problem: string): ParsedResult {
  return { kind: "unusable", problem };
}
