/**
 * Runs attempts on the agent's side, from their directory to their outcome; adopts those left alive.
 *
 * @module
 */
import { CicdError, ignore } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { TaskGroup } from "@lib/core/task_group.ts";
import { existsSync } from "@lib/foundations/files/records.ts";
import { isThere, repairDirectory } from "@lib/spine/jobs/attempt_damage.ts";
import type { AttemptDirectory, AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptFound, AttemptHandle } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome, CancelRequest } from "@lib/spine/jobs/model.ts";
import type { JobSpec } from "@lib/spine/spec/job_spec.ts";
import type { AttemptInput, LogRecorder } from "@lib/spine/attempts/attempt_input.ts";
import {
  findOrphans,
  makeDirectory,
  orRefused,
  prepareDirectory,
  readCommit,
  readOutcome,
  readSlot,
  readSpec,
  removeWorkspace,
  writeOutcome,
} from "@lib/spine/attempts/attempt_files.ts";
import {
  AttemptStarter,
  type Setup,
  type StarterOptions,
} from "@lib/spine/attempts/attempt_starter.ts";
import { type Hold, Holds, type HoldsOptions } from "@lib/spine/attempts/holds.ts";
import { fieldsOf, keyOf, type Known, knownOf } from "@lib/spine/attempts/known_attempt.ts";
import { Workspaces } from "@lib/spine/attempts/workspaces.ts";

/** Options for {@linkcode AttemptHost}. */
export interface AttemptHostOptions
  extends StarterOptions, Pick<HoldsOptions, "holdMaxMs" | "onHoldEnded"> {
  readonly project: ProjectName;
  readonly stateDir: string;
  /** The id of this boot of the machine. */
  readonly bootId: string;
  /**
   * Reads the configuration again if it is not the one of this stamp; called before each start.
   *
   * @throws {CicdError} `invalid_config`
   */
  readonly configure: (stamp: string) => Promise<void>;
  /** Seals secrets for an agent that adopts the attempt, which masks with them. */
  readonly seal: (secrets: Readonly<Record<string, string>>, ref: AttemptRef) => Uint8Array;
  /** Starts to record; the log need not exist yet. */
  readonly recordLog: (
    directory: AttemptDirectory,
    spec: JobSpec,
    signal: AbortSignal,
  ) => LogRecorder;
  /** Ends the helper programs of an earlier agent that are still alive; returns their number. */
  readonly endHelpers: () => Promise<number>;
}

interface LiveAttempt {
  readonly handle: AttemptHandle;
  readonly ended: Promise<AttemptOutcome>;
  /** The setup before the job; after it, the executor stops the attempt. */
  readonly setup: Setup | undefined;
}

/** All attempts of one project; disposing leaves running jobs alone. */
export class AttemptHost implements AsyncDisposable {
  readonly #options: AttemptHostOptions;
  readonly #live = new Map<string, LiveAttempt>();
  readonly #beginning = new Map<string, Promise<void>>();
  readonly #tasks: TaskGroup;
  readonly #starter: AttemptStarter;
  readonly #workspaces: Workspaces;
  readonly #holds: Holds;

  constructor(options: AttemptHostOptions) {
    this.#options = options;
    this.#starter = new AttemptStarter(options);
    this.#holds = new Holds(options);
    this.#tasks = new TaskGroup({
      onFailure: (task, error) => options.log.error("A background task failed", { task, error }),
    });
    this.#workspaces = new Workspaces({
      ...options,
      signal: this.#tasks.signal,
      isActive: (ref) => this.#live.has(keyOf(ref)) || this.#beginning.has(keyOf(ref)),
    });
  }

  /** `<job id>/<attempt number>` of the attempts that have not ended. */
  get attempts(): readonly string[] {
    return [...new Set([...this.#live.keys(), ...this.#beginning.keys()])];
  }

  /** Number of ended attempts whose place is kept. */
  get holds(): number {
    return this.#holds.size;
  }

  /** Ends the hold of an attempt at once; returns `false` if there is none. */
  async releaseHold(ref: AttemptRef): Promise<boolean> {
    return await this.#holds.release(ref, this.#tasks.signal);
  }

  /** Returns what an attempt does, or waits for, besides its job now; `undefined`: nothing. */
  doing(ref: AttemptRef): string | undefined {
    const live = this.#live.get(keyOf(ref));
    return this.#starter.doing(this.#directory(ref)) ??
      (live && this.#options.executor.awayReason?.(live.handle));
  }

  /** Calls back whenever {@linkcode AttemptHost.doing} changes. */
  onProgress(listener: () => void): Disposable {
    return this.#starter.onProgress(listener);
  }

  /** Takes over the attempts that an earlier agent left without an outcome. */
  async adopt(): Promise<void> {
    const { stateDir, project, log } = this.#options;
    const { unsettled, untidy } = findOrphans(stateDir, project);
    if (unsettled.length > 0) {
      // They write to directories that are set up, or finished, again.
      const helpers = await this.#options.endHelpers();
      if (helpers > 0) log.info("Ended helper programs of an earlier agent", { helpers });
    }
    this.#tasks.spawn("tidy workspaces", () => this.#workspaces.removeAsides());
    const held = await this.#adoptHolds();
    for (const ref of untidy) {
      if (held.has(keyOf(ref))) continue;
      this.#tasks.spawn(`tidy ${keyOf(ref)}`, () => this.#tidy(ref, this.#directory(ref)));
    }
    // All before the first: each keeps the workspace that it has on record.
    for (const ref of unsettled) await this.#recall(ref);
    for (const ref of unsettled) {
      const handle = await this.#handleOf(ref);
      if (handle === undefined) continue;
      const found = await this.#lookAtOrphan(handle);
      if (found === undefined) continue;
      let known: Known | undefined;
      if (found.kind !== "never_begun") known = knownOf(found);
      else if (!existsSync(handle.directory.fenceFile)) continue;
      else known = { outcome: this.#starter.fenced(), begun: false };
      log.info("Taking over an attempt", { ...fieldsOf(ref), found: found.kind });
      this.#watch(handle, { known });
    }
  }

  /** Starts an attempt, or joins it. */
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
    const outcome = await readOutcome(this.#directory(ref));
    if (outcome !== undefined) return outcome;
    throw new CicdError("not_found", `Cannot follow attempt ${keyOf(ref)}: it never started`);
  }

  /** Returns the commit that an attempt has checked out; `undefined` if there is none yet. */
  async commit(ref: AttemptRef): Promise<string | undefined> {
    return await readCommit(this.#directory(ref));
  }

  /** Asks an attempt to stop; returns `false` if it is unknown here. */
  async stop(ref: AttemptRef, why: CancelRequest): Promise<boolean> {
    await this.#beginning.get(keyOf(ref));
    const live = this.#live.get(keyOf(ref));
    if (live === undefined) return await readOutcome(this.#directory(ref)) !== undefined;
    if (live.setup !== undefined) {
      live.setup.stop(why);
      if (!await live.setup.over) return true;
    }
    await this.#options.executor.stop(live.handle, why, this.#tasks.signal);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tasks[Symbol.asyncDispose]();
  }

  async #begin(ref: AttemptRef, input: AttemptInput): Promise<void> {
    const { executor, seal } = this.#options;
    const { spec, secrets } = input;
    let handle: AttemptHandle = { ref, spec, directory: this.#directory(ref) };
    const damage = repairDirectory(handle.directory);
    const refusal = this.#refusalOf(input, handle.directory, damage);
    if (refusal !== undefined || isThere(handle.directory.path, damage)) {
      const outcome = await readOutcome(handle.directory);
      const found = await executor.look(handle, this.#tasks.signal);
      // A job can forge the outcome, but not its absence from the executor.
      if (outcome !== undefined && found.kind !== "alive") return;
      await this.#recall(ref);
      handle = { ref, spec, directory: this.#directory(ref) };
      if (found.kind !== "never_begun") {
        return this.#watch(handle, { known: knownOf(found) });
      }
      // The files of an attempt that ran may be lost: absence proves nothing.
      if (refusal !== undefined) {
        return this.#watch(handle, { known: { outcome: refusal, begun: false } });
      }
    }
    if (secrets === null) throw new TypeError("Cannot start an attempt without its secrets");
    const { signal } = this.#tasks;
    let needsSetup: boolean;
    try {
      if (input.configStamp !== undefined) await this.#options.configure(input.configStamp);
      const sealed = Object.keys(secrets).length === 0 ? undefined : seal(secrets, ref);
      const directory = orRefused(() => this.#workspaces.claim(ref));
      handle = { ref, spec, directory };
      prepareDirectory(handle, sealed);
      needsSetup = this.#starter.needsSetup(spec);
    } catch (error) {
      const outcome = this.#starter.startFailed(handle, error);
      await makeDirectory(handle.directory);
      return this.#watch(handle, { known: { outcome, begun: false } });
    }
    if (needsSetup) {
      // Meanwhile the caller learns that the attempt is alive.
      return this.#watch(handle, { setup: this.#starter.setUp(handle, secrets, signal) });
    }
    const failed = await this.#starter.start(handle, secrets, signal);
    this.#watch(handle, { known: failed && { outcome: failed, begun: false } });
  }

  /** Follows an attempt to its end, or settles it with its known outcome. */
  #watch(
    handle: AttemptHandle,
    { known, setup }: { readonly known?: Known | undefined; readonly setup?: Setup },
  ): void {
    const settled = Promise.withResolvers<AttemptOutcome>();
    void settled.promise.catch(ignore("reported to whoever waits"));
    this.#live.set(keyOf(handle.ref), { handle, ended: settled.promise, setup });
    this.#tasks.spawn(`attempt ${keyOf(handle.ref)}`, async (signal) => {
      let until: number | undefined;
      try {
        const failed = await setup?.run();
        const found = failed === undefined ? known : { outcome: failed, begun: false };
        const ended = await this.#settle(handle, found, signal);
        const outcome = await this.#holds.begin(handle, ended, signal);
        until = outcome.heldUntil;
        try {
          writeOutcome(handle.directory, outcome);
          // Before the runner learns of the end: the next attempt gets the same workspace.
          if (until === undefined) this.#release(handle.ref);
        } finally {
          // The runner records it too: the attempt has ended, whatever became of its directory.
          settled.resolve(outcome);
        }
      } catch (error) {
        settled.reject(error);
        throw error;
      } finally {
        this.#live.delete(keyOf(handle.ref));
        if (until !== undefined) this.#followHold({ ref: handle.ref, until });
      }
      if (until === undefined) await this.#tidy(handle.ref, handle.directory);
    });
  }

  /** Goes on with the holds of an earlier agent; returns the attempts that are held. */
  async #adoptHolds(): Promise<ReadonlySet<string>> {
    const adopted = new Set<string>();
    for (const hold of this.#holds.found()) {
      // Without an outcome it is settled, and held, again.
      const directory = this.#directory(hold.ref);
      const isSettled = await readOutcome(directory) !== undefined;
      if (!isSettled && existsSync(directory.attemptFile)) continue;
      await this.#recall(hold.ref);
      this.#holds.take(hold.ref, hold.inContainer);
      this.#followHold(hold);
      adopted.add(keyOf(hold.ref));
    }
    return adopted;
  }

  #followHold(hold: Hold): void {
    const { ref } = hold;
    this.#tasks.spawn(`hold ${keyOf(ref)}`, async (signal) => {
      await this.#holds.end(hold, () => this.#release(ref), signal);
      await this.#tidy(ref, this.#directory(ref));
    });
  }

  /** Holds the workspace that the record of an attempt names. */
  async #recall(ref: AttemptRef): Promise<void> {
    this.#workspaces.hold(ref, await readSlot(this.#directory(ref)));
  }

  #release(ref: AttemptRef): void {
    try {
      this.#workspaces.release(ref);
    } catch (error) {
      this.#options.log.warning("Cannot move a workspace aside", { ...fieldsOf(ref), error });
    }
  }

  /** A remaining workspace costs space only; the next agent tries again. */
  async #tidy(ref: AttemptRef, directory: AttemptDirectory): Promise<void> {
    try {
      await removeWorkspace(directory, (path) => this.#workspaces.remove(path));
    } catch (error) {
      this.#options.log.warning("Cannot remove a workspace", { ...fieldsOf(ref), error });
    }
    await this.#workspaces.removeAsides();
  }

  async #settle(
    handle: AttemptHandle,
    known: Known | undefined,
    signal: AbortSignal,
  ): Promise<AttemptOutcome> {
    const { executor, recordLog, log } = this.#options;
    // The runner gave it up while it was starting.
    if (known === undefined && existsSync(handle.directory.fenceFile)) {
      await executor.stop(handle, { reason: "cancelled", by: "by the runner" }, signal);
    }
    const recorder = recordLog(handle.directory, handle.spec, signal);
    const ended = known?.outcome ?? await executor.ended(handle, signal);
    const commit = await readCommit(handle.directory);
    const recorded = {
      ...ended,
      ...(commit === undefined ? {} : { commit }),
      ...await recorder.finish(),
    };
    const outcome = known?.begun === false
      ? await this.#starter.masked(handle, recorded)
      : await this.#starter.finish(handle, recorded, signal);
    log.info("Attempt ended", {
      ...fieldsOf(handle.ref),
      state: outcome.state,
      reason: outcome.reason,
    });
    return outcome;
  }

  /** Returns the outcome of an attempt that must not be started if it is not alive. */
  #refusalOf(
    { bootId, secrets, accepted }: AttemptInput,
    { fenceFile }: AttemptDirectory,
    damage: string | undefined,
  ): AttemptOutcome | undefined {
    if (isThere(fenceFile, damage)) return this.#starter.fenced();
    if (bootId !== this.#options.bootId) {
      const message = "The machine was restarted while the attempt was under way";
      return this.#starter.neverBegun({ state: "lost", reason: "agent_lost", message });
    }
    if (accepted === true && damage !== undefined) {
      const message = `The end of the job is unknown: ${damage}`;
      return this.#starter.neverBegun({ state: "lost", reason: "agent_lost", message });
    }
    if (secrets === null) {
      const message =
        "The job's secrets cannot be unsealed: the key file was replaced; submit it again";
      return this.#starter.neverBegun({ state: "failed", reason: "start_failed", message });
    }
    return undefined;
  }

  /** Returns the state of an attempt; `undefined` if it is unknown now: the runner asks again. */
  async #lookAtOrphan(handle: AttemptHandle): Promise<AttemptFound | undefined> {
    const { executor, log } = this.#options;
    try {
      return await executor.look(handle, this.#tasks.signal);
    } catch (error) {
      this.#tasks.signal.throwIfAborted();
      // One attempt in an unknown state must not keep the agent from all others.
      log.error("Cannot determine the state of an attempt", { ...fieldsOf(handle.ref), error });
      return undefined;
    }
  }

  async #handleOf(ref: AttemptRef): Promise<AttemptHandle | undefined> {
    const directory = this.#directory(ref);
    try {
      const spec = await readSpec(directory);
      return spec === undefined ? undefined : { ref, spec, directory };
    } catch (error) {
      // One damaged directory must not keep the agent from all others; the runner asks again.
      this.#options.log.error("Cannot read an attempt", { ...fieldsOf(ref), error });
      return undefined;
    }
  }

  #directory(ref: AttemptRef): AttemptDirectory {
    return this.#workspaces.directory(ref);
  }
}
