/**
 * The life of attempts on the agent's side: prepare the folder, start, record
 * the log, settle. What an earlier agent left alive is adopted.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, ignore, messageOf } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { type AttemptFolder, attemptFolder, type AttemptRef } from "@lib/jobs/attempt_folder.ts";
import type { AttemptHandle, Executor } from "@lib/jobs/executor.ts";
import type { AttemptOutcome, CancelRequest, JobSpec } from "@lib/jobs/model.ts";
import {
  exists,
  prepareFolder,
  readOutcome,
  readSpec,
  removeWorkspace,
  writeOutcome,
} from "@lib/attempts/attempt_files.ts";
import { findLeftBehind } from "@lib/attempts/left_behind.ts";

/** What is needed to run one attempt. */
export interface AttemptInput {
  readonly spec: JobSpec;
  /** `null`: they cannot be had, so the attempt can only be joined. */
  readonly secrets: Readonly<Record<string, string>> | null;
  /** The boot of the machine in which the attempt was claimed. */
  readonly bootId: string;
}

/** Records when a growing log's bytes arrived. */
export interface LogRecorder {
  /** Catches up to the end, stops, and tells the bytes of log over all streams. */
  finish(): Promise<number>;
}

/** Options for {@linkcode AttemptHost}. */
export interface AttemptHostOptions {
  readonly project: ProjectName;
  readonly stateDir: string;
  readonly executor: Executor;
  /** Names this boot of the machine. */
  readonly bootId: string;
  /** Begins to record; the log need not exist yet. */
  readonly recordLog: (folder: AttemptFolder, spec: JobSpec, signal: AbortSignal) => LogRecorder;
  /** The job's environment, secrets apart. */
  readonly environmentOf: (
    ref: AttemptRef,
    spec: JobSpec,
    workspace: string,
  ) => Readonly<Record<string, string>>;
  readonly seal: (secrets: Readonly<Record<string, string>>, ref: AttemptRef) => Uint8Array;
  readonly clock: Clock;
  readonly log: Logger;
}

interface LiveAttempt {
  readonly handle: AttemptHandle;
  readonly ended: Promise<AttemptOutcome>;
}

/** All attempts of one project. Disposing leaves what runs alone. */
export class AttemptHost implements AsyncDisposable {
  readonly #options: AttemptHostOptions;
  readonly #live = new Map<string, LiveAttempt>();
  readonly #beginning = new Map<string, Promise<void>>();
  readonly #tasks: TaskGroup;

  constructor(options: AttemptHostOptions) {
    this.#options = options;
    this.#tasks = new TaskGroup({
      onFailure: (task, error) => options.log.error("A background task failed", { task, error }),
    });
  }

  /** `<job id>/<attempt number>` of what has not ended. */
  get attempts(): readonly string[] {
    return [...new Set([...this.#live.keys(), ...this.#beginning.keys()])];
  }

  /** Takes over what an earlier agent left without an outcome. */
  async adopt(): Promise<void> {
    const { executor, log } = this.#options;
    const { stateDir, project } = this.#options;
    const { unsettled, untidy } = findLeftBehind(stateDir, project);
    for (const ref of untidy) {
      this.#tasks.spawn(`tidy ${keyOf(ref)}`, () => this.#tidy(ref, this.#folder(ref)));
    }
    for (const ref of unsettled) {
      const handle = await this.#handleOf(ref);
      if (handle === undefined) continue;
      const found = await executor.look(handle, this.#tasks.signal);
      if (found.kind === "never_begun") continue;
      log.info("Taking over an attempt", { ...fieldsOf(ref), found: found.kind });
      this.#watch(handle, found.kind === "alive" ? undefined : found.outcome);
    }
  }

  /** Begins an attempt, or joins it. */
  async begin(ref: AttemptRef, input: AttemptInput): Promise<void> {
    const key = keyOf(ref);
    if (this.#live.has(key)) return;
    let beginning = this.#beginning.get(key);
    if (beginning === undefined) {
      beginning = this.#begin(ref, input).finally(() => this.#beginning.delete(key));
      this.#beginning.set(key, beginning);
    }
    await beginning;
  }

  /** Resolves when the attempt has ended. */
  async ended(ref: AttemptRef): Promise<AttemptOutcome> {
    const live = this.#live.get(keyOf(ref));
    if (live !== undefined) return await live.ended;
    const outcome = await readOutcome(this.#folder(ref));
    if (outcome !== undefined) return outcome;
    throw new CicdError("not_found", `Cannot follow attempt ${keyOf(ref)}: it was never begun`);
  }

  /** Asks an attempt to stop; `false` if it is unknown here. */
  async stop(ref: AttemptRef, why: CancelRequest): Promise<boolean> {
    await this.#beginning.get(keyOf(ref));
    const live = this.#live.get(keyOf(ref));
    if (live === undefined) return await readOutcome(this.#folder(ref)) !== undefined;
    await this.#options.executor.stop(live.handle, why, this.#tasks.signal);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
  }

  async #begin(ref: AttemptRef, input: AttemptInput): Promise<void> {
    const { executor, environmentOf, seal } = this.#options;
    const { spec, secrets } = input;
    const notToBegin = this.#whyNotToBegin(input);
    const handle: AttemptHandle = { ref, spec, folder: this.#folder(ref) };
    if (notToBegin !== undefined || await exists(handle.folder.attemptFile)) {
      if (await readOutcome(handle.folder) !== undefined) return;
      const found = await executor.look(handle, this.#tasks.signal);
      if (found.kind !== "never_begun") {
        return this.#watch(handle, found.kind === "alive" ? undefined : found.outcome);
      }
      // A power cut may have taken the files of what ran: their absence proves nothing.
      if (notToBegin !== undefined) {
        await Deno.mkdir(handle.folder.path, { recursive: true, mode: 0o700 });
        return this.#watch(handle, notToBegin);
      }
    }
    if (secrets === null) throw new TypeError("An attempt without its secrets is not begun");
    try {
      const sealed = Object.keys(secrets).length === 0 ? undefined : seal(secrets, ref);
      prepareFolder(handle, sealed);
      await executor.start({
        ref,
        spec,
        env: environmentOf(ref, spec, handle.folder.workspace),
        secrets: new Map(Object.entries(secrets)),
        folder: handle.folder,
      }, this.#tasks.signal);
    } catch (error) {
      if (!(error instanceof CicdError) || error.code !== "executor_failed") throw error;
      return this.#watch(handle, this.#startFailed(error));
    }
    this.#watch(handle, undefined);
  }

  /** Stays with an attempt until it has ended, or settles it with what is known already. */
  #watch(handle: AttemptHandle, known: AttemptOutcome | undefined): void {
    const settled = Promise.withResolvers<AttemptOutcome>();
    void settled.promise.catch(ignore("whoever waits hears of it"));
    this.#live.set(keyOf(handle.ref), { handle, ended: settled.promise });
    this.#tasks.spawn(`attempt ${keyOf(handle.ref)}`, async (signal) => {
      try {
        settled.resolve(await this.#settle(handle, known, signal));
      } catch (error) {
        settled.reject(error);
        throw error;
      } finally {
        this.#live.delete(keyOf(handle.ref));
      }
      await this.#tidy(handle.ref, handle.folder);
    });
  }

  /** What is left of a workspace costs space only; the next agent tries again. */
  async #tidy(ref: AttemptRef, folder: AttemptFolder): Promise<void> {
    try {
      await removeWorkspace(folder);
    } catch (error) {
      this.#options.log.warning("Cannot remove a workspace", { ...fieldsOf(ref), error });
    }
  }

  async #settle(
    handle: AttemptHandle,
    known: AttemptOutcome | undefined,
    signal: AbortSignal,
  ): Promise<AttemptOutcome> {
    const { executor, recordLog, log } = this.#options;
    const recorder = recordLog(handle.folder, handle.spec, signal);
    const ended = known ?? await executor.ended(handle, signal);
    const outcome = { ...ended, logBytes: await recorder.finish() };
    await writeOutcome(handle.folder, outcome);
    log.info("Attempt ended", {
      ...fieldsOf(handle.ref),
      state: outcome.state,
      reason: outcome.reason,
    });
    return outcome;
  }

  #startFailed(error: CicdError): AttemptOutcome {
    return {
      state: "failed",
      reason: "start_failed",
      message: messageOf(error),
      usage: {},
      finishedAt: this.#options.clock.now(),
      logBytes: 0,
    };
  }

  /** The verdict on an attempt that is not alive and must not be begun; else `undefined`. */
  #whyNotToBegin({ bootId, secrets }: AttemptInput): AttemptOutcome | undefined {
    const rest = { usage: {}, finishedAt: this.#options.clock.now(), logBytes: 0 };
    if (bootId !== this.#options.bootId) {
      const message = "The machine was restarted while the attempt was under way";
      return { state: "lost", reason: "agent_lost", message, ...rest };
    }
    if (secrets === null) {
      const message =
        "The job's secrets cannot be unsealed: the key file was replaced; submit it again";
      return { state: "failed", reason: "start_failed", message, ...rest };
    }
    return undefined;
  }

  async #handleOf(ref: AttemptRef): Promise<AttemptHandle | undefined> {
    const folder = this.#folder(ref);
    try {
      const spec = await readSpec(folder);
      return spec === undefined ? undefined : { ref, spec, folder };
    } catch (error) {
      // One damaged folder must not keep the agent from all others; the runner asks for it anew.
      this.#options.log.error("Cannot read an attempt", { ...fieldsOf(ref), error });
      return undefined;
    }
  }

  #folder(ref: AttemptRef): AttemptFolder {
    return attemptFolder(this.#options.stateDir, ref);
  }
}

function keyOf(ref: AttemptRef): string {
  return `${ref.jobId}/${ref.number}`;
}

function fieldsOf(ref: AttemptRef): Record<string, unknown> {
  return { jobId: ref.jobId, attempt: ref.number, project: ref.project };
}
