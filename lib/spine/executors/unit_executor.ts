/**
 * Runs each attempt as a transient unit of the user's service manager.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import type {
  AttemptFound,
  AttemptHandle,
  AttemptRequest,
  Executor,
  ProjectUse,
  StopRequest,
} from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";
import type { UnitProperty } from "@lib/foundations/systemd/unit_property.ts";
import { jobUnitName } from "@lib/foundations/systemd/unit_name.ts";
import { checkDirectory, settleDirectory, wasBegun } from "@lib/spine/executors/evidence.ts";
import { recordExecFailure, requestStop } from "@lib/spine/executors/directory_files.ts";
import { jobProgram, type ReadyProgram } from "@lib/spine/executors/job_program.ts";
import { ManagerLink } from "@lib/spine/executors/manager_link.ts";
import { copyAgentLimits, describeSlice } from "@lib/spine/executors/project_slice.ts";
import { RuntimeFiles } from "@lib/spine/executors/runtime_files.ts";
import type { UnitManager } from "@lib/spine/executors/unit_manager.ts";
import { jobUnitProperties, splitEnvironment } from "@lib/spine/executors/unit_properties.ts";

/** Options for {@linkcode UnitExecutor}. */
export interface UnitExecutorOptions {
  readonly project: ProjectName;
  readonly connect: (signal: AbortSignal) => Promise<UnitManager>;
  /** `$XDG_RUNTIME_DIR`; holds the secrets of what runs. */
  readonly runtimeDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long the names of the manager's environment are taken to be the same. */
const NAMES_HOLD_MS = 500;

/**
 * The executor for machines with systemd.
 *
 * At most once: while the unit is loaded, systemd refuses a second one of its
 * name; from the moment its process exists there is a log file, and the unit
 * asserts that there is none.
 */
export class UnitExecutor implements Executor {
  readonly kind = "unit";
  readonly #options: UnitExecutorOptions;
  readonly #link: ManagerLink;
  readonly #files: RuntimeFiles;
  #names: readonly string[] = [];
  #namesUntil = 0;

  constructor(options: UnitExecutorOptions) {
    this.#options = options;
    this.#files = new RuntimeFiles(options.runtimeDir);
    this.#link = new ManagerLink({
      connect: options.connect,
      onConnected: (manager, signal) => this.#keepSlice(manager, signal),
      clock: options.clock,
    });
  }

  async start(request: AttemptRequest, signal: AbortSignal): Promise<"started" | "exists"> {
    signal.throwIfAborted();
    if (wasBegun(request)) return "exists";
    const program = jobProgram(request);
    if (program.kind === "failed") {
      await recordExecFailure(request.directory, program.exitCode, this.#options.clock.now());
      return "started";
    }
    const manager = await this.#link.use(signal);
    const managerEnvironment = await this.#environmentNames(manager, signal);
    const unit = jobUnitName(request.ref);
    try {
      const properties = this.#describe(request, program, managerEnvironment);
      return await manager.startTransientService(unit, properties, signal);
    } catch (error) {
      // Refused, so nothing will read the file. Otherwise nobody knows, and `ended` removes it.
      if (error instanceof CicdError && error.code === "executor_failed") {
        this.#files.removeEnvironment(unit);
      }
      throw error;
    }
  }

  async look(attempt: AttemptHandle, signal: AbortSignal): Promise<AttemptFound> {
    const manager = await this.#link.use(signal);
    // The unit before the files: it goes after the last of them was written, so files that are
    // read after it was seen gone are final.
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
    if (!requestStop(attempt.directory, why)) return;
    const manager = await this.#link.use(signal);
    await manager.stopUnit(jobUnitName(attempt.ref), signal);
  }

  async describeProject(signal: AbortSignal): Promise<ProjectUse> {
    return await describeSlice(await this.#link.use(signal), this.#options.project, signal);
  }

  unhealthyReason(): string | undefined {
    return this.#link.unhealthyReason();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link[Symbol.asyncDispose]();
  }

  /** People change the manager's environment by hand: a burst of jobs need not ask for each. */
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

  /** Writes what the unit reads, and says what the unit is. */
  #describe(
    request: AttemptRequest,
    { argv, workdir }: ReadyProgram,
    managerEnvironment: readonly string[],
  ): readonly UnitProperty[] {
    const { runtimeDir } = this.#options;
    try {
      const { environment, file } = splitEnvironment(request);
      const environmentFile = file.length === 0
        ? {}
        : { environmentFile: this.#files.writeEnvironment(jobUnitName(request.ref), file) };
      const recorder = this.#files.recorder();
      return jobUnitProperties(request, {
        workdir,
        argv,
        environment,
        managerEnvironment,
        runtimeDir,
        recorder,
        ...environmentFile,
      });
    } catch (error) {
      throw new CicdError(
        "executor_failed",
        `Cannot describe the unit of job "${request.ref.jobId}": ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  /** Before the first job of a connection, and after each daemon-reload. */
  async #keepSlice(manager: UnitManager, signal: AbortSignal): Promise<void> {
    const { project, log } = this.#options;
    manager.onReloaded(() => {
      void copyAgentLimits(manager, project, signal).catch((error: unknown) => {
        if (!signal.aborted) log.error("Cannot copy the agent's limits onto the slice", { error });
      });
    });
    await copyAgentLimits(manager, project, signal);
  }
}
