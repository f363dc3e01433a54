/**
 * The outcome of an attempt that has ended, derived from the files on disk.
 *
 * In this order:
 *
 * 1. No record: `lost`.
 * 2. The program could not be executed: `failed`, `exec_failed`.
 * 3. The main process ended after a stop request: the stop decides, whatever the exit code, as
 *    programs that clean up on SIGTERM often exit with 0. A request after the end is ignored.
 * 4. The time limit: `timed_out`.
 * 5. Killed when memory ran out: `failed`, `oom_killed`.
 * 6. Failed while the service manager was shutting down: `lost`.
 * 7. Otherwise the exit code or the signal.
 *
 * @module
 */
import { assertNever } from "@lib/core/errors.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { formatSize } from "@lib/core/size.ts";
import type { AttemptOutcome, EndReason, TerminalState, Usage } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import {
  CRLF_SHEBANG,
  type MainEnd,
  type ParsedResult,
  type ResultRecord,
} from "@lib/spine/executors/result_record.ts";
import type { StopRequest } from "@lib/spine/jobs/executor.ts";

/** A stop request and the time when its file was written. */
interface StopEvidence {
  readonly why: StopRequest;
  readonly at: number;
}

/** The evidence on an attempt without live processes. */
export interface Evidence {
  /** Absent if there is no record of the end. */
  readonly result?: ParsedResult;
  /** Absent without a stop request. */
  readonly stop?: StopEvidence;
  /** The damage to the attempt's directory, for people. */
  readonly damage?: string;
  readonly spec: JobSpec;
  /** Creation of the log file, and so of the job's process; absent if there is none. */
  readonly startedAt?: number;
  /** Time when the record was written, or the end noticed. */
  readonly finishedAt: number;
  readonly logBytes: number;
  /** Boot time of the machine. */
  readonly bootedAt?: number;
  /** The program that ran the attempt, for messages. */
  readonly monitor: string;
}

/** Returns the outcome of an attempt that has ended. */
export function settle(evidence: Evidence): AttemptOutcome {
  const { result } = evidence;
  if (result?.kind !== "record") return settleLost(evidence, result?.problem);
  const { record } = result;
  const { end, serviceResult } = record;
  const outcome = (state: TerminalState, reason: EndReason, message: string) =>
    conclude(evidence, { state, reason, message, record, end });

  if (end.kind === "none") {
    return outcome("failed", "start_failed", `The job was not started: ${serviceResult}`);
  }
  if (wasNotExecuted(evidence, record)) return settleExecFailed(evidence, record);
  const stop = effectiveStop(evidence, record);
  if (stop !== undefined) return settleStopped(evidence, record, stop);
  if (ranTooLong(evidence, record)) {
    const limit = formatDuration(evidence.spec.timeoutMs);
    return outcome("timed_out", "timeout", `Ran longer than its time limit of ${limit}`);
  }
  const oomKills = record.oomKills ?? 0;
  const oom = serviceResult === "oom-kill" || oomKills > 0;
  if (end.kind === "killed" && oom && end.signal === "SIGKILL") {
    return outcome("failed", "oom_killed", `Out of memory: ${memory(evidence)}`);
  }
  if (record.managerStopping === true && !(end.kind === "exited" && end.exitCode === 0)) {
    return outcome("lost", "agent_lost", "The service manager shut down while the job ran");
  }
  if (end.kind === "killed") {
    const core = end.dumped ? ", core dumped" : "";
    const after = afterOom(evidence, oom) + afterRefusal(evidence, record);
    return outcome("failed", "signal", `Ended by ${end.signal}${core}${after}`);
  }
  const message = `Exited with code ${end.exitCode}${afterOom(evidence, oom)}`;
  return end.exitCode === 0
    ? outcome("succeeded", "exit_code", message)
    : outcome("failed", "exit_code", message + afterRefusal(evidence, record));
}

/** Returns the outcome of an attempt that was never begun and never will be. */
export function settleNeverBegun(evidence: Evidence): AttemptOutcome {
  const { stop } = evidence;
  if (stop !== undefined) {
    return conclude(evidence, { ...stopVerdict(stop, evidence), suffix: " before it began" });
  }
  return conclude(evidence, {
    state: "failed",
    reason: "start_failed",
    message: `The job was not started: ${evidence.monitor} did not execute it`,
  });
}

/** The parts of an outcome that depend on the evidence. */
interface Verdict {
  readonly state: TerminalState;
  readonly reason: EndReason;
  readonly message: string;
  readonly suffix?: string;
  readonly record?: ResultRecord;
  readonly end?: MainEnd;
}

function conclude(evidence: Evidence, verdict: Verdict): AttemptOutcome {
  const { state, reason, message, suffix = "", record, end } = verdict;
  const { startedAt, logBytes } = evidence;
  const finishedAt = record?.finishedAt ?? evidence.finishedAt;
  return {
    state,
    reason,
    message: message + suffix,
    ...endFields(end),
    usage: usageOf(record, startedAt, finishedAt),
    ...(startedAt === undefined ? {} : { startedAt }),
    finishedAt,
    logBytes,
  };
}

function endFields(end: MainEnd | undefined): { exitCode?: number; signal?: string } {
  switch (end?.kind) {
    case "exited":
      return { exitCode: end.exitCode };
    case "killed":
      return { signal: end.signal };
    case "none":
    case undefined:
      return {};
    default:
      return assertNever(end);
  }
}

function usageOf(
  record: ResultRecord | undefined,
  startedAt: number | undefined,
  finishedAt: number,
): Usage {
  if (record === undefined || record.end.kind === "none") return {};
  const { cpuUsageUs, memoryPeakBytes, cpuThrottledUs, containment } = record;
  return {
    ...(cpuUsageUs === undefined ? {} : { cpuSeconds: cpuUsageUs / 1_000_000 }),
    ...(memoryPeakBytes === undefined ? {} : { memoryPeakBytes }),
    // The clock may have been set back while the job ran.
    ...(startedAt === undefined || finishedAt < startedAt
      ? {}
      : { wallSeconds: (finishedAt - startedAt) / 1_000 }),
    ...(cpuThrottledUs === undefined ? {} : { cpuThrottledSeconds: cpuThrottledUs / 1_000_000 }),
    ...(containment === undefined ? {} : { containment }),
  };
}

/** Returns the stop request, unless the attempt had ended before it. */
function effectiveStop(evidence: Evidence, record: ResultRecord): StopEvidence | undefined {
  const { stop, startedAt, spec } = evidence;
  if (stop === undefined) return undefined;
  if (stop.at > (record.finishedAt ?? evidence.finishedAt)) return undefined;
  const limitAt = startedAt === undefined ? Infinity : startedAt + spec.timeoutMs;
  return ranTooLong(evidence, record) && stop.at > limitAt ? undefined : stop;
}

/**
 * Tells if the time limit ended the attempt. systemd also reports `timeout` when the grace period
 * passed, after a stop or for orphaned processes of the job.
 */
function ranTooLong({ spec }: Evidence, { serviceResult, mainRunMs }: ResultRecord): boolean {
  return serviceResult === "timeout" && (mainRunMs === undefined || mainRunMs >= spec.timeoutMs);
}

function stopVerdict({ why }: StopEvidence, { spec }: Evidence): Verdict {
  switch (why.reason) {
    case "cancelled":
      return { state: "cancelled", reason: "cancelled", message: `Cancelled ${why.by}` };
    case "superseded":
      return { state: "cancelled", reason: "superseded", message: `Superseded by ${why.by}` };
    case "timeout":
      return {
        state: "timed_out",
        reason: "timeout",
        message: `Ran longer than its time limit of ${formatDuration(spec.timeoutMs)}`,
      };
    default:
      return assertNever(why);
  }
}

function settleStopped(
  evidence: Evidence,
  record: ResultRecord,
  stop: StopEvidence,
): AttemptOutcome {
  const { end } = record;
  const forced = end.kind === "killed" && end.signal === "SIGKILL" && evidence.spec.graceMs > 0;
  return conclude(evidence, {
    ...stopVerdict(stop, evidence),
    ...(forced
      ? {
        suffix: `; it did not exit within its grace period of ${
          formatDuration(evidence.spec.graceMs)
        }`,
      }
      : {}),
    record,
    end,
  });
}

/** The exit code of systemd's child when `execve` fails. */
const SYSTEMD_EXEC_FAILED = 203;

/**
 * Tells if the program was never executed.
 *
 * With systemd, only the exit code shows it, and a job may use the same code. It counts as systemd's
 * if the unit was never active and nothing was printed; never for a script, as its shell was found
 * before the start.
 */
function wasNotExecuted({ spec, logBytes }: Evidence, record: ResultRecord): boolean {
  const { end, notBegun, activated } = record;
  if (notBegun === true) return true;
  return activated === false && end.kind === "exited" && end.exitCode === SYSTEMD_EXEC_FAILED &&
    spec.work.kind === "command" && logBytes === 0;
}

/** Messages for exit codes of systemd before the execution of the program. */
const EXEC_STEPS: Readonly<Record<number, string>> = {
  200: "its working directory cannot be entered",
  [CRLF_SHEBANG]: "its `#!` line ends in CRLF; save it with Unix line ends (LF)",
  [SYSTEMD_EXEC_FAILED]: "the kernel cannot execute it; check its format",
};

function settleExecFailed(evidence: Evidence, record: ResultRecord): AttemptOutcome {
  const { work } = evidence.spec;
  const program = work.kind === "command" ? work.argv[0] ?? "" : work.shell;
  const code = record.end.kind === "exited" ? record.end.exitCode : undefined;
  const why = code === 127
    ? program.includes("/") ? "no such file" : "command not found on the job's PATH"
    : code === 126
    ? "it is not executable, or its interpreter is missing"
    : EXEC_STEPS[code ?? 0] ?? `the service manager gave up (${record.serviceResult})`;
  return conclude(evidence, {
    state: "failed",
    reason: "exec_failed",
    message: `Cannot execute "${program}": ${why}`,
    record,
    // The codes of shells, which users know; systemd's code would look like the job's.
    end: { kind: "exited", exitCode: code === 127 ? 127 : 126 },
  });
}

function settleLost(evidence: Evidence, problem: string | undefined): AttemptOutcome {
  const { startedAt, bootedAt, monitor, damage } = evidence;
  const why = problem !== undefined
    ? `the record of its end ${problem}`
    : damage !== undefined
    ? damage
    : startedAt !== undefined && bootedAt !== undefined && bootedAt > startedAt
    ? "the machine was restarted while it ran"
    : `${monitor} went away while it ran`;
  return conclude(evidence, {
    state: "lost",
    reason: "agent_lost",
    message: `The end of the job is unknown: ${why}`,
  });
}

/** Describes the memory limit that was hit, and the usage if known. */
function memory({ spec, result }: Evidence): string {
  const limit = spec.limits.memoryBytes;
  const record = result?.kind === "record" ? result.record : undefined;
  const peak = record?.memoryPeakBytes;
  const sampled = record?.memoryPeakSampled === true;
  const used = peak === undefined
    ? ""
    : sampled
    ? `; it used at least ${formatSize(peak)}`
    : `; it used ${formatSize(peak)} at its peak`;
  if (limit === undefined) return `the project or the machine ran out${used}`;
  // Well below its own limit, so another one was hit.
  return !sampled && peak !== undefined && peak < limit * 0.9
    ? `the project or the machine ran out${used}, of its ${formatSize(limit)} limit`
    : `killed at its ${formatSize(limit)} limit${used}`;
}

function afterOom(evidence: Evidence, oom: boolean): string {
  return oom ? `, after some of its processes ran out of memory: ${memory(evidence)}` : "";
}

/** A job may handle a failed `fork`; if it then fails, this is the likely reason. */
function afterRefusal({ spec }: Evidence, { refusedTasks = 0 }: ResultRecord): string {
  if (refusedTasks === 0) return "";
  const { tasks } = spec.limits;
  const whose = tasks === undefined
    ? "the limit on tasks of the project or the machine"
    : `its limit of ${tasks} tasks`;
  const what = refusedTasks === 1 ? "a new process or thread" : "new processes or threads";
  return `, after it was refused ${what} at ${whose}`;
}
