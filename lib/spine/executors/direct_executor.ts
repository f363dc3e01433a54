/**
 * The executor for machines without systemd.
 *
 * Unlike a unit, it has no limits on CPU, memory and tasks, no usage figures, and no hold on
 * processes that leave the job's session and drop its variables. The time limit and the grace
 * period are enforced, also without the agent.
 *
 * @module
 */
import { raceAbort, withDeadline } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
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
import { sleepUnless } from "@lib/spine/executors/sleep_unless.ts";
import { SUPERVISOR_PROGRAM } from "@lib/spine/executors/supervisor.ts";

/** Interval of checks for a killed supervisor, which leaves no trace in the directory. */
const RECHECK_MS = 2_000;
/** Deadline of a helper program; it only starts, finds or kills processes. */
const HELPER_MS = 60_000;

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

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
  }

  async start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    signal.throwIfAborted();
    if (wasBegun(request)) return "exists";
    const program = jobProgram(request);
    if (program.kind === "failed") {
      recordExecFailure(request.directory, program.exitCode, this.#clock.now());
      return "started";
    }
    return await beginSupervised(request, program, signal);
  }

  async look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound> {
    // The supervisor before the files: it exits after it has written the last of them.
    if (await isSupervised(attempt, signal)) return { kind: "alive" };
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
    if (!isRecorded(attempt.directory) || await isSupervised(attempt, either)) {
      await sweep(attempt, either);
    }
    return await settleDirectory(attempt, this.#evidenceOptions());
  }

  async stop(attempt: AttemptHandle, why: StopRequest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // Without the request, the supervisor ignores the call.
    if (!requestStop(attempt.directory, why)) return await sweep(attempt, signal);
    await callSupervisor("stop", attempt, signal);
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

  #evidenceOptions() {
    return { monitor: "its supervisor", now: this.#clock.now() };
  }

  /** Resolves once the record exists, or the supervisor does not. */
  async #gone(attempt: AttemptHandle, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { directory } = attempt;
    let change = Promise.withResolvers<void>();
    using _watch = this.#inotify.watch(directory.path, () => change.resolve());
    while (!isRecorded(directory) && await isSupervised(attempt, signal)) {
      const recheckAt = this.#clock.now() + RECHECK_MS;
      while (!isRecorded(directory) && this.#clock.now() < recheckAt) {
        const ms = recheckAt - this.#clock.now();
        const changed = await sleepUnless(change.promise, { ms, clock: this.#clock, signal });
        if (changed) change = Promise.withResolvers<void>();
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
  { argv, workdir }: ReadyProgram,
  signal: AbortSignal,
): Promise<"started" | "exists"> {
  const variables = { ...env, ...Object.fromEntries(secrets) };
  const [outputLog = "", errorLog = outputLog] = logFilesOf(directory, spec.output);
  const args = [
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
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("/bin/sh", {
      args: ["-c", SUPERVISOR_PROGRAM, "supervisor", "run", ...args],
      cwd: workdir,
      clearEnv: true,
      env: variables,
      detached: true,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (error) {
    throw notBegun(ref.jobId, messageOf(error), error);
  }
  child.unref();
  using deadline = withDeadline(signal, HELPER_MS, "the supervisor to begin");
  switch ((await raceAbort(new Response(child.stdout).text(), deadline)).trim()) {
    case "begun":
      return "started";
    case "exists":
      return "exists";
    default:
      throw notBegun(ref.jobId, "its supervisor exited at once; is the disk full?");
  }
}

/** Tells if the end of an attempt is recorded; opens a directory that the job closed. */
function isRecorded(directory: AttemptDirectory): boolean {
  try {
    return existsSync(directory.resultFile);
  } catch {
    repairDirectory(directory);
    return existsSync(directory.resultFile);
  }
}

/** Tells if an attempt's supervisor is running. */
async function isSupervised(attempt: AttemptHandle, signal: AbortSignal): Promise<boolean> {
  return (await callSupervisor("alive", attempt, signal)) === 0;
}

/** Kills the remaining processes of an attempt whose supervisor is dead. */
async function sweep(attempt: AttemptHandle, signal: AbortSignal): Promise<void> {
  await callSupervisor("sweep", attempt, signal);
}

async function callSupervisor(
  call: "alive" | "stop" | "sweep",
  { ref: { jobId, number }, directory }: AttemptHandle,
  signal: AbortSignal,
): Promise<number> {
  signal.throwIfAborted();
  removeForged(`${directory.path}/supervisor`);
  using deadline = withDeadline(signal, HELPER_MS, "a helper of the supervisor");
  const { code } = await raceAbort(
    new Deno.Command("/bin/sh", {
      args: ["-c", SUPERVISOR_PROGRAM, "supervisor", call, directory.path, jobId, String(number)],
      signal: deadline,
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output(),
    deadline,
  );
  return code;
}

/** Longest record of a supervisor: two short lines. */
const SUPERVISOR_MAX_BYTES = 1024;

/** Removes what a job put in place of a supervisor's record and the shell would read for ever. */
function removeForged(file: string): void {
  const info = lstatIfOpen(file);
  if (info !== undefined && (info.isSymlink || info.size > SUPERVISOR_MAX_BYTES)) {
    if (!info.isDirectory) Deno.removeSync(file);
  }
}

/** Returns nothing for a file that is missing or in a closed directory: the shell finds none. */
function lstatIfOpen(file: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(file);
  } catch {
    return undefined;
  }
}

function notBegun(jobId: string, why: string, cause?: unknown): CicdError {
  return new CicdError("executor_failed", `Cannot begin job "${jobId}": ${why}`, { cause });
}
