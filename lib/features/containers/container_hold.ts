/**
 * The hold of a container: it is started a second time, and then waits instead of running the job.
 *
 * It is the job's own container, so that everything is kept that does not end with its processes: its
 * files outside the workspace, its volumes, its limits and its place. A copy of its files, which an
 * engine makes as an image, would take time and space in proportion, leave out the volumes and keep
 * the job's secrets in the image. What may be held therefore starts through a shell, which becomes the
 * job; an image without one cannot be entered anyway.
 *
 * @module
 */
import { withDeadline } from "@lib/core/abort.ts";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { CicdError } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import { isRunning } from "@lib/features/containers/container_monitor.ts";
import { findContainer } from "@lib/features/containers/container_start.ts";
import { isHoldable } from "@lib/features/containers/job_labels.ts";
import type { Engine } from "@lib/foundations/docker/engine.ts";
import { hasStatus, isEngineAway } from "@lib/foundations/docker/engine_error.ts";
import type { EngineSource } from "@lib/foundations/docker/engine_source.ts";
import { attemptDirectory, type AttemptRef } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle } from "@lib/spine/jobs/executor.ts";

/** The agent ends a hold in time; without one the container does, a little later. */
const LATER_MS = 60_000;
/** Longest wait for the start, and for the end, of a hold. */
const BEGIN_MS = 30_000;
const END_MS = 60_000;
const RETRY = { firstMs: 100, maxMs: 5_000 } as const;

/** Options for {@linkcode ContainerHolds}. */
export interface ContainerHoldsOptions {
  /** Returns the connection to the engine. */
  readonly engine: (signal: AbortSignal) => Promise<Engine>;
  /** Closes a connection that does not answer. */
  readonly engines: Pick<EngineSource, "forget">;
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The holds of containers, as the port of executors has them. */
export class ContainerHolds {
  readonly #options: ContainerHoldsOptions;

  constructor(options: ContainerHoldsOptions) {
    this.#options = options;
  }

  /**
   * Starts the container of an attempt that has ended to wait; nothing changes if it waits already.
   *
   * @param until In milliseconds since the epoch.
   * @throws {CicdError} If it cannot, or the engine does not answer in time.
   */
  async begin(attempt: AttemptHandle, until: number, signal: AbortSignal): Promise<void> {
    const { stateDir, clock } = this.#options;
    using deadline = withDeadline(signal, BEGIN_MS, "the container engine");
    const engine = await this.#options.engine(deadline);
    const info = await findContainer(engine, attempt, { stateDir, signal: deadline });
    if (info === undefined) throw new CicdError("executor_failed", "its container is gone");
    if (!isHoldable(info.labels)) {
      throw new CicdError("executor_failed", "the image of its container has no /bin/sh");
    }
    const seconds = Math.ceil((until + LATER_MS - clock.now()) / 1_000);
    Deno.writeTextFileSync(attempt.directory.heldFile, `${seconds}\n`);
    await engine.startContainer(info.id, deadline);
  }

  /** Resolves when the container of a held attempt does not run any more. */
  async gone(ref: AttemptRef, signal: AbortSignal): Promise<void> {
    await this.#untilItAnswers(async (engine) => {
      const info = await this.#find(engine, ref, signal);
      if (info === undefined || !isRunning(info)) return;
      try {
        await engine.waitContainer(info.id, signal);
      } catch (error) {
        if (!hasStatus(error, 404)) throw error;
      }
    }, signal);
  }

  /**
   * Removes the container of a held attempt with everything that runs in it, if there is one; gives
   * up on an engine that is away for long.
   */
  async end(ref: AttemptRef, signal: AbortSignal): Promise<void> {
    using deadline = withDeadline(signal, END_MS, "the container engine");
    try {
      await this.#untilItAnswers(async (engine) => {
        const info = await this.#find(engine, ref, deadline);
        if (info !== undefined) await engine.removeContainer(info.id, deadline);
      }, deadline);
    } catch (error) {
      signal.throwIfAborted();
      if (!deadline.aborted) throw error;
      // It ends by itself, and the next agent, or cleaning, removes it.
      this.#options.log.warning("Cannot remove the container of a hold", {
        jobId: ref.jobId,
        attempt: ref.number,
        error,
      });
    }
  }

  #find(engine: Engine, ref: AttemptRef, signal: AbortSignal) {
    const { stateDir } = this.#options;
    const directory = attemptDirectory(stateDir, ref);
    return findContainer(engine, { ref, directory }, { stateDir, signal });
  }

  async #untilItAnswers(
    ask: (engine: Engine) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { engine, engines, clock } = this.#options;
    const backoff = new Backoff(RETRY);
    while (true) {
      try {
        return await ask(await engine(signal));
      } catch (error) {
        signal.throwIfAborted();
        if (!isEngineAway(error)) throw error;
        engines.forget();
        await clock.sleep(backoff.next(), { signal });
      }
    }
  }
}
