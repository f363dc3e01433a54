/**
 * The record of a container's end, in the format of the other executors.
 *
 * @module
 */
import type { ContainerInfo } from "@lib/foundations/docker/engine_types.ts";
import { existsSync, readIfThereSync } from "@lib/foundations/files/records.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { ContainerUsage } from "@lib/features/containers/container_usage.ts";
import { HOLDER_NAME } from "@lib/features/containers/container_config.ts";
import { logFilesOf } from "@lib/spine/executors/directory_files.ts";
import { hasCrlfShebang } from "@lib/spine/executors/job_program.ts";
import {
  CRLF_SHEBANG,
  type ExecFailureCode,
  formatExecFailure,
} from "@lib/spine/executors/result_record.ts";

/** The end of a container, according to the engine. */
export interface ContainerEnd {
  readonly info: Pick<
    ContainerInfo,
    "exitCode" | "oomKilled" | "startedAt" | "finishedAt"
  >;
  readonly usage: ContainerUsage;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Exit codes of an engine for signals: 128 and the signal's number. */
const KILLED = 137;
const TERMINATED = 143;

/**
 * Formats the record of a container that ran.
 *
 * A program may exit by itself with the code that an engine reports for a signal. So a signal is
 * only recorded if its sender is known: the kernel when memory ran out, or the suite.
 */
export function formatContainerEnd(attempt: AttemptHandle, end: ContainerEnd): string {
  const { info: { exitCode, startedAt }, usage } = end;
  // The engine notes a start when it gets to it, which can be after the end of a short container.
  const finishedAt = Math.max(end.info.finishedAt ?? end.now, startedAt ?? 0);
  const oomKills = usage.oomKills ?? 0;
  const oomKilled = end.info.oomKilled || oomKills > 0;
  const notExecuted = execFailure(attempt, exitCode);
  if (notExecuted !== undefined) return formatExecFailure(notExecuted, finishedAt);
  const signal = knownSignal(attempt, exitCode, oomKilled);
  const result = signal === undefined
    ? exitCode === 0 ? "success" : "exit-code"
    : oomKilled
    ? "oom-kill"
    : "signal";
  const figures = {
    memory_oom_kill: oomKilled ? Math.max(1, oomKills) : 0,
    memory_peak: usage.memoryPeakBytes,
    // Read now and then: the true peak may be higher.
    memory_peak_sampled: usage.memoryPeakBytes === undefined ? undefined : 1,
    cpu_usage_usec: usage.cpuUsageUs,
    cpu_throttled_usec: usage.cpuThrottledUs,
    started_at_ms: startedAt,
    finished_at_ms: finishedAt,
  };
  return [
    `service_result=${result}`,
    signal === undefined ? "exit_code=exited" : "exit_code=killed",
    `exit_status=${signal ?? exitCode & 0xff}`,
    ...Object.entries(figures).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${Math.round(value)}`]
    ),
    "",
  ].join("\n");
}

/**
 * Returns why a program could not be executed, from an engine's refusal to start it; `undefined` if
 * the engine refused for another reason.
 */
export function execFailureOf(
  attempt: AttemptHandle,
  message: string,
): ExecFailureCode | undefined {
  const missing =
    /executable file .*not found|stat .*: no such file|command not found/i.test(message) ||
    (/no such file or directory/i.test(message) &&
      /\bexec\b|start container process/.test(message));
  if (missing) return missingCode(attempt);
  if (/\bexec\b.*(permission denied|format error|is a directory)/i.test(message)) return 126;
  if (/\bchdir\b|working directory/i.test(message)) return 200;
  return undefined;
}

/** The message of what starts before the job's program and could not execute it. */
const INIT_FAILED = new RegExp(
  `^(\\[FATAL tini \\(\\d+\\)\\] exec .* failed: |catatonit .*failed to exec |${HOLDER_NAME}: )`,
);
const INIT_MESSAGE_MAX_BYTES = 4_096;

function execFailure(attempt: AttemptHandle, exitCode: number): ExecFailureCode | undefined {
  if (exitCode !== 126 && exitCode !== 127) return undefined;
  const logs = logFilesOf(attempt.directory, attempt.spec.output);
  const path = logs[logs.length - 1] ?? "";
  if (!existsSync(path) || Deno.lstatSync(path).size > INIT_MESSAGE_MAX_BYTES) return undefined;
  if (!INIT_FAILED.test(readIfThereSync(path) ?? "")) return undefined;
  return exitCode === 127 ? missingCode(attempt) : 126;
}

/** Returns the code of a missing file; of the interpreter, if the program is in the workspace. */
function missingCode({ spec, directory }: AttemptHandle): ExecFailureCode {
  if (spec.work.kind !== "command") return 127;
  const [program = ""] = spec.work.argv;
  const relative = program.replace(/^\/workspace\//, "");
  if ((!relative.includes("/") && relative === program) || relative.startsWith("/")) return 127;
  const path = `${directory.workspace}/${spec.workdir ?? "."}/${relative}`;
  if (!existsSync(path)) return 127;
  return hasCrlfShebang(path) ? CRLF_SHEBANG : 126;
}

function knownSignal(
  { directory }: AttemptHandle,
  exitCode: number,
  oomKilled: boolean,
): "KILL" | "TERM" | undefined {
  const stopped = existsSync(directory.stopFile);
  if (exitCode === KILLED && (oomKilled || stopped)) return "KILL";
  return exitCode === TERMINATED && stopped ? "TERM" : undefined;
}
