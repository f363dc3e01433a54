/**
 * The executor for machines with systemd.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import type {
  AttemptFound,
  AttemptHandle,
  AttemptRequest,
  Executor,
  ProjectUse,
  StopRequest,
} from "@lib/spine/jobs/executor.ts";
import type { AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { UnitProperty } from "@lib/foundations/systemd/unit_property.ts";
import {
  holdUnitName,
  jobUnitName,
  projectSliceName,
  type UnitName,
} from "@lib/foundations/systemd/unit_name.ts";
import { checkDirectory, settleDirectory, wasBegun } from "@lib/spine/executors/evidence.ts";
import { recordExecFailure, requestStop } from "@lib/spine/executors/directory_files.ts";
import { jobProgram, type ReadyProgram } from "@lib/spine/executors/job_program.ts";
import { ManagerLink } from "@lib/spine/executors/manager_link.ts";
import { RuntimeFiles } from "@lib/spine/executors/runtime_files.ts";
import { keepSliceLimits } from "@lib/spine/executors/slice_limits.ts";
import type { UnitManager } from "@lib/spine/executors/unit_manager.ts";
import {
  holdUnitProperties,
  jobUnitProperties,
  MIN_STOP_MS,
  splitEnvironment,
} from "@lib/spine/executors/unit_properties.ts";

/** Options for {@linkcode UnitExecutor}. */
export interface UnitExecutorOptions {
  readonly project: ProjectName;
  readonly connect: (signal: AbortSignal) => Promise<UnitManager>;
  /** `$XDG_RUNTIME_DIR`; holds the secrets of running jobs. */
  readonly runtimeDir: string;
  /** Of the jobs. @default {022} */
  readonly umask?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Between two rounds of SIGKILL. */
const KILL_AGAIN_MS = 50;
/** Time for which the names of the manager's environment are cached. */
const NAMES_HOLD_MS = 500;

/**
 * Runs each attempt as a transient unit of the user's service manager.
 *
 * At most once: while the unit is loaded, systemd refuses a second one of its name. As soon as its
 * process exists there is a log file, and the unit asserts that there is none.
 */
export class UnitExecutor implements Executor {
  readonly kind = "unit";
  readonly #options: UnitExecutorOptions;
  readonly #link: ManagerLink;
  readonly #files: RuntimeFiles;
  /** Ends of grace periods, by unit; systemd ends a period whose task fails. */
  readonly #tasks: TaskGroup;
  #names: readonly string[] = [];
  #namesUntil = 0;

  constructor(options: UnitExecutorOptions) {
    this.#options = options;
    this.#files = new RuntimeFiles(options.runtimeDir);
    this.#tasks = new TaskGroup({
      onFailure: (unit, error) =>
        options.log.warning("Cannot end a grace period in time", { unit, error }),
    });
    this.#link = new ManagerLink({
      connect: options.connect,
      onConnected: (manager, signal) => keepSliceLimits(manager, options, signal),
      clock: options.clock,
    });
  }

  async start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    signal.throwIfAborted();
    if (wasBegun(request)) return "exists";
    const program = jobProgram(request);
    if (program.kind === "failed") {
      recordExecFailure(request.directory, program.exitCode, this.#options.clock.now());
      return "started";
    }
    const manager = await this.#link.use(signal);
    const managerEnvironment = await this.#environmentNames(manager, signal);
    const unit = jobUnitName(request.ref);
    try {
      const properties = this.#describe(request, program, managerEnvironment);
      return await this.#link.start(unit, properties, signal);
    } catch (error) {
      // Refused, so nothing will read the file. Otherwise unknown, and `ended` removes it.
      if (error instanceof CicdError && error.code === "executor_failed") {
        this.#files.removeEnvironment(unit);
      }
      throw error;
    }
  }

  async look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound> {
    const manager = await this.#link.use(signal);
    // The unit before the files: it goes after the last of them was written, so the files are
    // final once it is gone.
    if (await manager.unitExists(jobUnitName(attempt.ref), signal)) return { kind: "alive" };
    const found = await checkDirectory(attempt, this.#evidenceOptions());
    this.#files.removeEnvironment(jobUnitName(attempt.ref));
    return found;
  }

  async ended(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptOutcome> {
    const unit = jobUnitName(attempt.ref);
    await this.#link.gone(unit, signal);
    const outcome = await settleDirectory(attempt, this.#evidenceOptions());
    this.#files.removeEnvironment(unit);
    return outcome;
  }

  async stop(attempt: AttemptHandle, why: StopRequest, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // A job can forge the record of its end, and the stop need not be recorded: the unit decides.
    requestStop(attempt.directory, why);
    const manager = await this.#link.use(signal);
    const unit = jobUnitName(attempt.ref);
    await manager.stopUnit(unit, signal);
    const { graceMs } = attempt.spec;
    if (graceMs > 0 && graceMs < MIN_STOP_MS && !this.#tasks.names.includes(unit)) {
      this.#tasks.spawn(unit, (ended) => this.#endGrace(unit, graceMs, ended));
    }
  }

  async hold({ ref, spec }: AttemptHandle, until: number, signal: AbortSignal): Promise<void> {
    const properties = holdUnitProperties({ ref, spec }, until - this.#options.clock.now());
    await this.#link.start(holdUnitName(ref), properties, signal);
  }

  async holdGone(ref: AttemptRef, signal: AbortSignal): Promise<void> {
    await this.#link.gone(holdUnitName(ref), signal);
  }

  async endHold(ref: AttemptRef, signal: AbortSignal): Promise<void> {
    const manager = await this.#link.use(signal);
    await manager.stopUnit(holdUnitName(ref), signal);
    await this.#link.gone(holdUnitName(ref), signal);
  }

  async describeProject(signal: AbortSignal): Promise<ProjectUse> {
    const manager = await this.#link.use(signal);
    const slice = projectSliceName(this.#options.project);
    const [{ cpuQuota, memoryMaxBytes, tasksMax }, usage] = await Promise.all([
      manager.readLimits(slice, signal),
      manager.readUsage(slice, signal),
    ]);
    return {
      limits: {
        ...(cpuQuota === undefined ? {} : { cpu: cpuQuota }),
        ...(memoryMaxBytes === undefined ? {} : { memoryBytes: memoryMaxBytes }),
        ...(tasksMax === undefined ? {} : { tasks: tasksMax }),
      },
      usage,
    };
  }

  awayReason(): string | undefined {
    return this.#link.awayReason();
  }

  unhealthyReason(): string | undefined {
    return this.#link.unhealthyReason();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
    await this.#link[Symbol.asyncDispose]();
  }

  /**
   * Kills what a grace period leaves of a unit, if that is shorter than systemd's.
   *
   * One by one, since the unit as a whole may be recording its end the next moment.
   */
  async #endGrace(unit: UnitName, graceMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    await clock.sleep(graceMs, { signal });
    const manager = await this.#link.use(signal);
    for (let left = MIN_STOP_MS - graceMs; left > 0; left -= KILL_AGAIN_MS) {
      const pids = await manager.terminatingProcesses(unit, signal);
      if (pids === undefined) return;
      for (const pid of pids) kill(pid);
      // They may have forked meanwhile.
      await clock.sleep(KILL_AGAIN_MS, { signal });
    }
  }

  /** The manager's environment rarely changes: a burst of jobs reads it once. */
  async #environmentNames(manager: UnitManager, signal: AbortSignal): Promise<readonly string[]> {
    const { clock } = this.#options;
    if (clock.now() >= this.#namesUntil) {
      this.#names = await manager.environmentNames(signal);
      this.#namesUntil = clock.now() + NAMES_HOLD_MS;
    }
    return this.#names;
  }

  #evidenceOptions() {
    return { monitor: "the service manager", now: this.#options.clock.now() };
  }

  /** Writes the unit's files and returns its properties. */
  #describe(
    request: AttemptRequest,
    { argv, workdir }: ReadyProgram,
    managerEnvironment: readonly string[],
  ): readonly UnitProperty[] {
    const { runtimeDir, umask } = this.#options;
    try {
      const { environment, file } = splitEnvironment(request);
      return jobUnitProperties(request, {
        workdir,
        argv,
        environment,
        managerEnvironment,
        runtimeDir,
        recorder: this.#files.recorder(),
        ...(umask === undefined ? {} : { umask }),
        ...(file.length === 0
          ? {}
          : { environmentFile: this.#files.writeEnvironment(jobUnitName(request.ref), file) }),
      });
    } catch (error) {
      throw new CicdError(
        "executor_failed",
        `Cannot describe the unit of job "${request.ref.jobId}": ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    // It has ended meanwhile.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
