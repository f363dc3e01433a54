/**
 * Removes the directories of jobs, by every means, and notes what stays.
 *
 * @module
 */
import type { Clock } from "@lib/core/clock.ts";
import { CicdError, messageOf } from "@lib/core/errors.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import type { Executor } from "@lib/spine/jobs/executor.ts";
import { forgetRemains, noteRemains } from "@lib/spine/jobs/remains.ts";

/** Options for {@linkcode removeJobTree}. */
export interface JobTreeOptions {
  readonly stateDir: string;
  /** Removes what jobs made as other users. */
  readonly executor: Pick<Executor, "removeForeign">;
  readonly clock: Pick<Clock, "now">;
  readonly signal: AbortSignal;
}

/**
 * Removes a directory of a job; files that it made as another user, through the executor.
 *
 * What stays is noted, until a later call removes it.
 *
 * @throws {CicdError} If something remains.
 */
export async function removeJobTree(path: string, options: JobTreeOptions): Promise<void> {
  const { stateDir, clock, signal } = options;
  try {
    await remove(path, options);
  } catch (error) {
    signal.throwIfAborted();
    try {
      await noteRemains(stateDir, path, { error, now: clock.now() });
    } catch (second) {
      const why = `${messageOf(error)}; it cannot be noted: ${messageOf(second)}`;
      throw new CicdError("io_failed", why, { cause: error });
    }
    throw error;
  }
  forgetRemains(stateDir, path);
}

async function remove(path: string, { executor, signal }: JobTreeOptions): Promise<void> {
  try {
    await removeTree(path);
  } catch (error) {
    if (executor.removeForeign === undefined) throw error;
    try {
      await executor.removeForeign(path, signal);
    } catch (second) {
      throw new CicdError(
        "io_failed",
        `${messageOf(error)}; by the engine: ${messageOf(second)}`,
        { cause: error },
      );
    }
    await removeTree(path);
  }
}
