/**
 * The verdict on an attempt that is over, from what is on disk.
 *
 * In this order:
 *
 * 1. Without a record nobody knows how it ended: `lost`.
 * 2. A program that could not be executed: `failed`, `exec_failed`.
 * 3. A stop was asked for, and the main process ended after that: the stop
 *    is the verdict, whatever the exit code, as programs that tidy up on
 *    SIGTERM often exit with 0. What ended before the stop was asked for is
 *    judged as if nobody had asked.
 * 4. The time limit: `timed_out`.
 * 5. Killed for want of memory: `failed`, `oom_killed`.
 * 6. Ended badly while the service manager was going down: `lost`.
 * 7. Otherwise the exit code or the signal.
 *
 * @module
 */
import { assertNever } from "@lib/core/assert_never.ts";
import { formatDuration } from "@lib/core/duration.ts";
import { formatSize } from "@lib/core/size.ts";
import type { AttemptOutcome, EndReason, TerminalState, Usage } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import type { MainEnd, ParsedResult, ResultRecord } from "@lib/spine/executors/result_record.ts";
import type { StopRequest } from "@lib/spine/jobs/executor.ts";

/** A stop request and when its file was written. */
export interface StopEvidence {
  readonly why: StopRequest;
  readonly at: number;
}

/** What is known of an attempt of which nothing lives any more. */
export interface Evidence {
  /** Absent if there is no record of the end. */
  readonly result?: ParsedResult;
  /** Absent if nobody asked for a stop. */
  readonly stop?: StopEvidence;
  readonly spec: JobSpec;
  /** When the log file was made, which is when the job's process was; absent if there is none. */
  readonly startedAt?: number;
  /** When the record was written, or when the end was noticed. */
  readonly finishedAt: number;
  readonly logBytes: number;
  /** When the machine was last started. */
  readonly bootedAt?: number;
  /** What ran the attempt, for the message of a lost one. */
  readonly monitor: string;
}

/** Judges an attempt that is over. */
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
    return outcome("failed", "oom_killed", `Killed for want of memory: ${memory(evidence)}`);
  }
  if (record.managerStopping === true && !(end.kind === "exited" && end.exitCode === 0)) {
    return outcome("lost", "agent_lost", "The service manager went down while the job ran");
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

/** Judges an attempt that was never begun and never will be. */
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

/** What goes into an outcome. */
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
  const { cpuUsageUs, memoryPeakBytes, cpuThrottledUs } = record;
  return {
    ...(cpuUsageUs === undefined ? {} : { cpuSeconds: cpuUsageUs / 1_000_000 }),
    ...(memoryPeakBytes === undefined ? {} : { memoryPeakBytes }),
    // A clock that was set back while the job ran must not yield a negative time.
    ...(startedAt === undefined || finishedAt < startedAt
      ? {}
      : { wallSeconds: (finishedAt - startedAt) / 1_000 }),
    ...(cpuThrottledUs === undefined ? {} : { cpuThrottledSeconds: cpuThrottledUs / 1_000_000 }),
  };
}

/** The stop request, unless the attempt had ended before it was made. */
function effectiveStop(evidence: Evidence, record: ResultRecord): StopEvidence | undefined {
  const { stop, startedAt, spec } = evidence;
  if (stop === undefined) return undefined;
  if (stop.at > (record.finishedAt ?? evidence.finishedAt)) return undefined;
  const limitAt = startedAt === undefined ? Infinity : startedAt + spec.timeoutMs;
  return ranTooLong(evidence, record) && stop.at > limitAt ? undefined : stop;
}

/**
 * Whether the time limit ended the attempt. systemd says `timeout` also when
 * the grace period passed, after a stop or with what the job left behind.
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
      ? { suffix: `; it did not end within its grace of ${formatDuration(evidence.spec.graceMs)}` }
      : {}),
    record,
    end,
  });
}

/** The exit code of systemd's own child when `execve` fails. */
const SYSTEMD_EXEC_FAILED = 203;

/**
 * Whether the program was never executed.
 *
 * Where systemd ran it, only the code tells, which a job may use itself. It is
 * taken for systemd's if the unit was never active and nothing was printed;
 * never for a script, as its shell is there: it was looked at before the start.
 */
function wasNotExecuted({ spec, logBytes }: Evidence, record: ResultRecord): boolean {
  const { end, notBegun, activated } = record;
  if (notBegun === true) return true;
  return activated === false && end.kind === "exited" && end.exitCode === SYSTEMD_EXEC_FAILED &&
    spec.work.kind === "command" && logBytes === 0;
}

/** systemd's codes for the steps that lead to the program's execution. */
const EXEC_STEPS: Readonly<Record<number, string>> = {
  200: "its working directory cannot be entered",
  [SYSTEMD_EXEC_FAILED]: "the kernel cannot execute it; check its format",
};

function settleExecFailed(evidence: Evidence, record: ResultRecord): AttemptOutcome {
  const { work } = evidence.spec;
  const program = work.kind === "command" ? work.argv[0] ?? "" : work.shell;
  const code = record.end.kind === "exited" ? record.end.exitCode : undefined;
  const why = code === 127
    ? program.includes("/") ? "there is no such file" : "there is no such program on the job's PATH"
    : code === 126
    ? "it is no executable file, or its interpreter is not there"
    : EXEC_STEPS[code ?? 0] ?? `the service manager gave up (${record.serviceResult})`;
  return conclude(evidence, {
    state: "failed",
    reason: "exec_failed",
    message: `Cannot execute "${program}": ${why}`,
    record,
    // The codes of shells, which users know; systemd's own would be taken for the job's.
    end: { kind: "exited", exitCode: code === 127 ? 127 : 126 },
  });
}

function settleLost(evidence: Evidence, problem: string | undefined): AttemptOutcome {
  const { startedAt, bootedAt, monitor } = evidence;
  const why = problem !== undefined
    ? `the record of its end ${problem}`
    : startedAt !== undefined && bootedAt !== undefined && bootedAt > startedAt
    ? "the machine was restarted while it ran"
    : `${monitor} went away while it ran`;
  return conclude(evidence, {
    state: "lost",
    reason: "agent_lost",
    message: `How the job ended is not known: ${why}`,
  });
}

/** What the memory figures say, as far as there are any. */
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
  if (limit === undefined) return `the project's or the machine's memory ran out${used}`;
  // Well below its own limit, so another one was hit.
  return !sampled && peak !== undefined && peak < limit * 0.9
    ? `the project's or the machine's memory ran out${used}, of ${formatSize(limit)} it may use`
    : `its limit is ${formatSize(limit)}${used}`;
}

function afterOom(evidence: Evidence, oom: boolean): string {
  return oom ? `, after processes of it were killed for want of memory: ${memory(evidence)}` : "";
}

/** A failed `fork` is the job's own to handle; where it then fails, this is likely why. */
function afterRefusal({ spec }: Evidence, { refusedTasks = 0 }: ResultRecord): string {
  if (refusedTasks === 0) return "";
  const { tasks } = spec.limits;
  const whose = tasks === undefined
    ? "the limit on tasks of the project or the machine"
    : `its limit of ${tasks} tasks`;
  const what = refusedTasks === 1 ? "a new process or thread" : "new processes or threads";
  return `, after it was refused ${what} at ${whose}`;
}
