/**
 * The record of an attempt's end, which `ExecStopPost=` or the supervisor writes into
 * `directory.resultFile`, also while no program of the suite is running.
 *
 * Lines of `key=value`. Capitalized keys are from `systemctl show`, others from the shell. Unknown
 * keys are ignored, so an older agent reads the record of a newer writer. A record that begins with
 * `record` is whole if it has `recorded`: its last line, or in the form 2 the one before its figures,
 * which may be incomplete.
 *
 * @module
 */
import type { Containment } from "@lib/spine/jobs/model.ts";

/** Size limit of a record; the writer needs a tenth of it. */
export const RESULT_MAX_BYTES = 16 * 1024;

/** The end of an attempt's main process. */
export type MainEnd =
  | { readonly kind: "exited"; readonly exitCode: number }
  /** `signal` is such as `SIGKILL`. */
  | { readonly kind: "killed"; readonly signal: string; readonly dumped: boolean }
  /** The main process could not be forked. */
  | { readonly kind: "none" };

/** A record of an attempt's end; unknown figures are absent. */
export interface ResultRecord {
  /** The service result of systemd, such as `success`, `exit-code`, `timeout` or `oom-kill`. */
  readonly serviceResult: string;
  readonly end: MainEnd;
  /** The job's program could not be executed. */
  readonly notBegun?: true;
  /**
   * Set if systemd saw the unit become active. It does not if the program could not be executed, or
   * ended too soon for systemd to notice.
   */
  readonly activated?: boolean;
  /** Run time of the main process; recorded where `timeout` is ambiguous. */
  readonly mainRunMs?: number;
  /** Set if the service manager was shutting down. */
  readonly managerStopping?: boolean;
  readonly memoryPeakBytes?: number;
  /** The peak was sampled: it may have been higher. */
  readonly memoryPeakSampled?: true;
  /** Processes of the attempt that the kernel killed when memory ran out. */
  readonly oomKills?: number;
  /** Processes and threads that the kernel refused at a limit on tasks. */
  readonly refusedTasks?: number;
  readonly cpuUsageUs?: number;
  readonly cpuThrottledUs?: number;
  /** How its processes were held together, if no service manager did. */
  readonly containment?: Containment;
  /** Start of the main process, if its monitor knows better than the log file. */
  readonly startedAt?: number;
  readonly finishedAt?: number;
}

/** A parsed record. */
export type ParsedResult =
  | { readonly kind: "record"; readonly record: ResultRecord }
  /** `problem` continues a sentence that begins with `the record`. */
  | { readonly kind: "unusable"; readonly problem: string };

/** Parses a record; only the three lines on the end of the main process are required. */
export function parseResultRecord(text: string): ParsedResult {
  if (text.length > RESULT_MAX_BYTES) {
    return unusable(`is longer than ${RESULT_MAX_BYTES} bytes`);
  }
  const lines = linesOf(text);
  if (lines.has("record") && !lines.has("recorded")) return unusable("is incomplete");
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
      ...present("cpuUsageUs", count("cpu_usage_usec") ?? parseTimes(childTimesOf(text))),
      ...present("cpuThrottledUs", count("cpu_throttled_usec")),
      ...present("containment", CONTAINMENTS[lines.get("contained") ?? ""]),
      ...present("startedAt", count("started_at_ms")),
      ...present("finishedAt", count("finished_at_ms")),
    },
  };
}

/**
 * The reason why a program cannot be executed: 127 not found and 126 not executable, as in shells,
 * or 200 no such working directory, as in systemd.
 */
export type ExecFailureCode = 126 | 127 | 200 | typeof CRLF_SHEBANG;

/** The program is a script whose `#!` line ends in CRLF. */
export const CRLF_SHEBANG = 201;

/** Formats the record of an attempt whose program could not be executed. */
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

/** Returns the complete lines; the first of two with the same key counts. */
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

/** @returns The problem, as a text, if the two lines are invalid. */
function parseEnd(code: string | undefined, status: string | undefined): MainEnd | string {
  if (code === undefined) return "has no exit_code";
  if (status === undefined) return "has no exit_status";
  switch (code) {
    case "":
      return { kind: "none" };
    case "exited":
      return /^\d{1,3}$/.test(status) && Number(status) <= 255
        ? { kind: "exited", exitCode: Number(status) }
        : "has an exit_status that is not an exit code";
    case "killed":
    case "dumped":
      return /^(SIG)?[A-Z][A-Z0-9]{1,9}([+-]\d{1,2})?$|^\d{1,3}$/.test(status)
        ? { kind: "killed", signal: `SIG${status.replace(/^SIG/, "")}`, dumped: code === "dumped" }
        : "has an exit_status that is not a signal";
    default:
      return "has an unknown exit_code";
  }
}

/** The ways of the supervisor, and their names in answers. */
const CONTAINMENTS: Readonly<Record<string, Containment>> = {
  pid: "namespace",
  user: "namespace",
  marker: "marker",
};

/** The second line of a shell's `times`, which is of its children; the first has a key. */
function childTimesOf(text: string): string | undefined {
  return /^own_times=.*\n(.*)\n/m.exec(text)?.[1] ?? /^child_times=(.*)\n/m.exec(text)?.[1];
}

/** Parses a shell's `times` of its children, such as `0m1.5s 0m0.25s`, to microseconds. */
function parseTimes(text: string | undefined): number | undefined {
  const [, userMin, user, systemMin, system] =
    /^(\d{1,6})m(\d{1,2}(?:[.,]\d{1,6})?)s (\d{1,6})m(\d{1,2}(?:[.,]\d{1,6})?)s$/
      .exec(text ?? "") ?? [];
  if (system === undefined) return undefined;
  const seconds = (part = "0") => Number(part.replace(",", "."));
  const minutes = Number(userMin) + Number(systemMin);
  return Math.round((minutes * 60 + seconds(user) + seconds(system)) * 1_000_000);
}

/** Parses a safe integer; anything else counts as absent. */
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
