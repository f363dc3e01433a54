/**
 * The executor for machines without systemd.
 *
 * Unlike a unit, it has no limits on CPU, memory and tasks, and of the usage only CPU time. The time
 * limit and the grace period are enforced, also without the agent. Where the kernel allows it, a job
 * is in a PID namespace, which nothing of it survives.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, ignore, messageOf } from "@lib/core/errors.ts";
import { firstLine } from "@lib/core/lines.ts";
import { existsSync, removeIfThere } from "@lib/foundations/files/records.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import { Inotify } from "@lib/foundations/systemd/inotify.ts";
import { Libc } from "@lib/foundations/systemd/libc.ts";
import { repairDirectory } from "@lib/spine/jobs/attempt_damage.ts";
import type { AttemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type {
  AttemptFound,
  AttemptHandle,
  AttemptRequest,
  Executor,
  ProjectUse,
  StopRequest,
} from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import { checkDirectory, settleDirectory, wasBegun } from "@lib/spine/executors/evidence.ts";
import {
  logFilesOf,
  recordExecFailure,
  requestStop,
} from "@lib/spine/executors/directory_files.ts";
import { jobProgram, type ReadyProgram } from "@lib/spine/executors/job_program.ts";
import {
  type ContainChoice,
  type ContainmentPlan,
  findContainment,
} from "@lib/spine/executors/containment.ts";
import { RESULT_MAX_BYTES } from "@lib/spine/executors/result_record.ts";
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";
import {
  continueSupervisor,
  hasTimer,
  isProcess,
  isSupervisor,
  killSupervisor,
  readHead,
  readSupervisor,
  remindTimer,
  type SupervisorRecord,
  wakeTimer,
} from "@lib/spine/executors/supervision.ts";
import { SUPERVISOR_PROGRAM } from "@lib/spine/executors/supervisor.ts";

/** Interval of checks for a killed supervisor, which leaves no trace in the directory. */
const RECHECK_MS = 2_000;
/** Longest pause between checks for the exit of a supervisor. */
const EXIT_MS = 256;
/** Deadline of a helper program; it only starts, finds or kills processes. */
const HELPER_MS = 60_000;
/** How long after the grace period a supervisor may take to end what is to be stopped. */
const END_MS = 120_000;

/** Longest line that a supervisor says of its beginning. */
const SAID_MAX_BYTES = 100;

/** Options for {@linkcode DirectExecutor}. */
export interface DirectExecutorOptions {
  readonly clock: Clock;
  /** @default {"auto"} */
  readonly contain?: ContainChoice;
  /** Tries how jobs can be contained. */
  readonly run?: RunCommand;
  /** Supervises an attempt. @default {SUPERVISOR_PROGRAM} */
  readonly program?: string;
}

/**
 * Runs each attempt under a supervisor, a shell.
 *
 * At most once: before it runs the job, the supervisor records itself in the directory with
 * `link(2)`, which only one of many can do.
 */
export class DirectExecutor implements Executor {
  readonly kind = "direct";
  readonly #clock: Clock;
  readonly #inotify = new Inotify(new Libc());
  readonly #disposed = new AbortController();
  readonly #contain: ContainChoice;
  readonly #run: RunCommand | undefined;
  readonly #program: string;
  #containment: Promise<ContainmentPlan> | undefined;

  constructor(
    { clock, contain = "auto", run, program = SUPERVISOR_PROGRAM }: DirectExecutorOptions,
  ) {
    this.#clock = clock;
    this.#contain = contain;
    this.#run = run;
    this.#program = program;
  }

  async start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    signal.throwIfAborted();
    if (wasBegun(request)) return "exists";
    const program = jobProgram(request);
    if (program.kind === "failed") {
      recordExecFailure(request.directory, program.exitCode, this.#clock.now());
      return "started";
    }
    const containment = await raceAbort(this.#containmentNow(), signal);
    const supervisor = this.#program;
    return await beginSupervised(request, { ...program, containment, supervisor }, signal);
  }

  async look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound> {
    // The supervisor before the files: it exits after it has written the last of them.
    if (isSupervised(attempt)) return { kind: "alive" };
    const damage = repairDirectory(attempt.directory);
    const found = await checkDirectory(attempt, this.#evidenceOptions());
    // Damage may hide that it was begun.
    const isOrphaned = found.kind === "never_begun" && damage !== undefined;
    if (found.kind === "vanished" || isOrphaned) await sweep(attempt, signal);
    return found;
  }

  async ended(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptOutcome> {
    const either = AbortSignal.any([signal, this.#disposed.signal]);
    await this.#gone(attempt, either);
    // The supervisor was killed, or its files were removed or forged: it does not end the rest.
    if (!isRecorded(attempt.directory) || !await this.#hasExited(attempt, either)) {
      await sweep(attempt, either);
    }
    return await settleDirectory(attempt, this.#evidenceOptions());
  }

  async stop(attempt: AttemptHandle, why: StopRequest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // Without the request, the timer ignores the call.
    if (!requestStop(attempt.directory, why)) return await sweep(attempt, signal);
    const supervisor = supervisorOf(attempt);
    if (supervisor !== undefined) wakeTimer(supervisor, attempt.directory.path);
  }

  describeProject(): Promise<ProjectUse> {
    return Promise.resolve({ limits: {}, usage: {} });
  }

  unhealthyReason(): string | undefined {
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort(new DOMException("The executor was disposed", "AbortError"));
    await this.#inotify[Symbol.asyncDispose]();
  }

  /** Tries once how jobs can be contained; after a failure, the next job tries again. */
  async #containmentNow(): Promise<ContainmentPlan> {
    const found = this.#containment ??= this.#findContainment();
    try {
      return await found;
    } catch (error) {
      if (this.#containment === found) this.#containment = undefined;
      throw error;
    }
  }

  async #findContainment(): Promise<ContainmentPlan> {
    const run = this.#run ??
      (await import("@lib/foundations/process/run_command.ts")).runCommand;
    const options = { run, uid: Deno.uid() ?? 0, signal: this.#disposed.signal };
    return await findContainment(this.#contain, options);
  }

  #evidenceOptions() {
    return { monitor: "its supervisor", now: this.#clock.now() };
  }

  /**
   * Waits a moment for the exit of a supervisor that has just written its last file.
   *
   * @returns `false` if it is alive, or cannot be found as the job removed its record.
   */
  async #hasExited(attempt: AttemptHandle, signal: AbortSignal): Promise<boolean> {
    if (readSupervisor(attempt.directory.path) === undefined) return wasRefused(attempt);
    for (let ms = 1; ms <= EXIT_MS && isSupervised(attempt); ms *= 2) {
      await this.#clock.sleep(ms, { signal });
    }
    return !isSupervised(attempt);
  }

  /**
   * Resolves once the record exists, or the supervisor does not. One that does not end what is to be
   * stopped, as the job killed its timer or no signal ends the job, is killed.
   */
  async #gone(attempt: AttemptHandle, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { directory, spec: { timeoutMs, graceMs } } = attempt;
    // In rounds: the clock may be set, or the machine sleep.
    let [stoppingMs, untimedMs] = [0, 0];
    let change = Promise.withResolvers<void>();
    using _watch = this.#inotify.watch(directory.path, () => change.resolve());
    while (!isRecorded(directory) && isSupervised(attempt)) {
      const recheckAt = this.#clock.now() + RECHECK_MS;
      while (!isRecorded(directory) && this.#clock.now() < recheckAt) {
        const ms = recheckAt - this.#clock.now();
        const changed = await sleepUnless(change.promise, { ms, clock: this.#clock, signal });
        if (changed) change = Promise.withResolvers<void>();
      }
      const supervisor = supervisorOf(attempt);
      if (supervisor === undefined) continue;
      if (isThere(directory, directory.stopFile)) {
        stoppingMs += RECHECK_MS;
        remindTimer(supervisor, directory.path);
      }
      untimedMs = hasTimer(supervisor, directory.path) ? 0 : untimedMs + RECHECK_MS;
      if (Math.max(stoppingMs, untimedMs - timeoutMs) > graceMs + END_MS) {
        killSupervisor(supervisor);
        return await this.#clock.sleep(RECHECK_MS, { signal });
      }
    }
  }
}

/** Variables that shells set themselves. */
const SHELL_VARIABLES = ["PWD", "OLDPWD", "SHLVL", "_"] as const;

/**
 * Starts the supervisor of an attempt and waits until it has begun the job.
 *
 * An abort ends the wait, not the supervisor.
 *
 * @returns `exists` if another supervisor was first.
 * @throws {CicdError} `executor_failed` if nothing was begun.
 */
async function beginSupervised(
  { ref, spec, env, secrets, directory }: AttemptRequest,
  { argv, workdir, containment, supervisor }: ReadyProgram & {
    readonly containment: ContainmentPlan;
    readonly supervisor: string;
  },
  signal: AbortSignal,
): Promise<"started" | "exists"> {
  const variables = { ...env, ...Object.fromEntries(secrets) };
  const [outputLog = "", errorLog = outputLog] = logFilesOf(directory, spec.output);
  const { way, unshare, nsenter, setsid } = containment;
  const args = [
    way,
    unshare,
    nsenter,
    setsid,
    directory.path,
    ref.jobId,
    String(ref.number),
    String(spec.timeoutMs / 1_000),
    String(spec.graceMs),
    outputLog,
    errorLog,
    SHELL_VARIABLES.filter((name) => variables[name] === undefined).join(" "),
    ...argv,
  ];
  const shell = ["/bin/sh", "-c", supervisor, "supervisor", "run", ...args];
  // For a session of its own, the runtime would copy the agent's memory map, which takes longer than
  // all else; this program replaces itself.
  const [program = "", ...rest] = setsid === "" ? shell : [setsid, ...shell];
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: rest,
      cwd: workdir,
      clearEnv: true,
      env: variables,
      detached: setsid === "",
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (error) {
    throw notBegun(ref.jobId, messageOf(error), error);
  }
  child.unref();
  using deadline = withDeadline(signal, HELPER_MS, "the supervisor to begin");
  // Not to the end: the timer holds the pipe until it first runs, and the job may stop it before.
  const said = await raceAbort(firstLine(child.stdout, { maxBytes: SAID_MAX_BYTES }), deadline);
  void removeIfThere(`${directory.path}/.claim.${child.pid}`).catch(ignore("it is small"));
  switch (said) {
    case "begun":
      return "started";
    case "exists":
      return "exists";
    default:
      throw notBegun(ref.jobId, "its supervisor exited at once; is the disk full?");
  }
}

/** Tells if the end of an attempt is recorded. */
function isRecorded(directory: AttemptDirectory): boolean {
  return isThere(directory, directory.resultFile);
}

/** Tells if a file of an attempt is there; opens a directory that the job closed. */
function isThere(directory: AttemptDirectory, path: string): boolean {
  try {
    return existsSync(path);
  } catch {
    repairDirectory(directory);
    return existsSync(path);
  }
}

/** Tells if an attempt's program could not be executed, so that it never had a supervisor. */
function wasRefused({ directory: { resultFile } }: AttemptHandle): boolean {
  return readHead(resultFile, RESULT_MAX_BYTES).includes("\nbegun=no\n");
}

/** Returns the living supervisor of an attempt, and continues it if it was stopped. */
function supervisorOf({ directory: { path } }: AttemptHandle): SupervisorRecord | undefined {
  const record = readSupervisor(path);
  if (record === undefined || !isSupervisor(record, path)) return undefined;
  continueSupervisor(record);
  return record;
}

function isSupervised(attempt: AttemptHandle): boolean {
  return supervisorOf(attempt) !== undefined;
}

/** Kills the remaining processes of an attempt whose supervisor is dead, or not to be found. */
async function sweep(attempt: AttemptHandle, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { ref: { jobId, number }, directory: { path } } = attempt;
  const record = readSupervisor(path);
  // The number of a dead supervisor still is its session's; that of another process is forged.
  const isSession = record !== undefined && (isSupervisor(record, path) || !isProcess(record.pid));
  const session = isSession ? `${record.pid}` : "none";
  using deadline = withDeadline(signal, HELPER_MS, "a helper of the supervisor");
  await raceAbort(
    new Deno.Command("/bin/sh", {
      args: ["-c", SUPERVISOR_PROGRAM, "supervisor", "sweep", session, jobId, String(number)],
      signal: deadline,
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output(),
    deadline,
  );
}

function notBegun(jobId: string, why: string, cause?: unknown): CicdError {
  return new CicdError("executor_failed", `Cannot begin job "${jobId}": ${why}`, { cause });
}
