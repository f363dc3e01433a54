/**
 * The workspaces of a project: one per running attempt, at a path that later attempts get again.
 *
 * Programs store the path of their directory in what they build, and their caches miss at another
 * one. An attempt therefore gets the lowest free number, and its record names it: the next agent
 * knows the number of everything that runs. What an earlier attempt left is never emptied in place
 * but moved aside, so that no removal delays a start, and no process of it sees the next attempt.
 *
 * @module
 */
import { Backoff } from "@lib/core/backoff.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { directoriesIn, existsSync } from "@lib/foundations/files/records.ts";
import { type JobTreeOptions, removeJobTree } from "@lib/spine/attempts/remove_job_tree.ts";
import { repairDirectory } from "@lib/spine/jobs/attempt_damage.ts";
import {
  ASIDE,
  type AttemptDirectory,
  attemptDirectory,
  type AttemptRef,
  slotParents,
} from "@lib/spine/jobs/attempt_directory.ts";

/** Options for {@linkcode Workspaces}; the signal ends removals. */
export interface WorkspacesOptions extends JobTreeOptions {
  readonly project: ProjectName;
  /** Tells if the attempt is starting or running here. */
  readonly isActive: (ref: AttemptRef) => boolean;
  readonly log: Logger;
}

/** Slots that a claim tries which cannot be cleared; then something else is wrong. */
const SLOTS_TRIED = 10;

/** The slots of a project's workspaces and the attempts that hold them. */
export class Workspaces {
  readonly #options: WorkspacesOptions;
  readonly #held = new Map<number, AttemptRef>();
  readonly #removing = new Set<string>();
  readonly #failed = new Map<string, { readonly backoff: Backoff; readonly nextAt: number }>();
  /** Something may have been moved aside, here or by an earlier agent. */
  #hasAsides = true;

  constructor(options: WorkspacesOptions) {
    this.#options = options;
  }

  /** Returns the directory of an attempt, with the workspace that it holds. */
  directory(ref: AttemptRef): AttemptDirectory {
    return attemptDirectory(this.#options.stateDir, ref, this.#slotOf(ref));
  }

  /**
   * Holds the slot that the record of an attempt names, if it names one. One that another attempt holds stays with
   * that: a job can change its own record.
   */
  hold(ref: AttemptRef, slot: number | undefined): void {
    if (slot === undefined) return;
    if (!this.#held.has(slot) && this.#slotOf(ref) === undefined) this.#held.set(slot, ref);
  }

  /**
   * Gives an attempt that is to be set up an empty workspace, in the slot that it holds if that can be
   * cleared.
   *
   * Synchronous, as each turn of the event loop would delay the job.
   */
  claim(ref: AttemptRef): AttemptDirectory {
    try {
      return this.#claim(ref, 1);
    } catch {
      // What is above the slots may be missing or damaged.
      for (const parent of slotParents(this.#options.stateDir, this.#options.project)) {
        repairDirectory({ levels: [parent], attemptFile: parent });
        Deno.mkdirSync(parent, { recursive: true, mode: 0o700 });
      }
      return this.#claim(ref, SLOTS_TRIED);
    }
  }

  #claim(ref: AttemptRef, slotsTried: number): AttemptDirectory {
    const own = this.#slotOf(ref);
    let failures = 0;
    for (let slot = own ?? 1;; slot++) {
      if (slot !== own && this.#isTaken(slot)) continue;
      const directory = attemptDirectory(this.#options.stateDir, ref, slot);
      try {
        for (const path of [directory.workspace, directory.temporary]) {
          // The workspace as a job makes it; the directory above keeps all others out.
          this.#makeEmpty(path, path === directory.workspace ? 0o777 : 0o700);
        }
        if (own !== undefined) this.#held.delete(own);
        this.#held.set(slot, ref);
        return directory;
      } catch (error) {
        // What is there cannot be moved: a mount, say, or an immutable directory.
        if (++failures >= slotsTried) throw error;
      }
    }
  }

  /** Frees the slot of an attempt that has ended, and moves its directories aside. */
  release(ref: AttemptRef): void {
    const { slot, workspace, temporary } = this.directory(ref);
    if (slot === undefined) return;
    this.#held.delete(slot);
    for (const path of [workspace, temporary]) this.#moveAside(path);
  }

  /** Removes what was moved aside, also by an earlier agent; what stays is tried again later. */
  async removeAsides(): Promise<void> {
    const { stateDir, project, clock, log } = this.#options;
    if (!this.#hasAsides) return;
    this.#hasAsides = this.#failed.size > 0;
    for (const parent of slotParents(stateDir, project)) {
      for (const name of directoriesIn(parent)) {
        const path = `${parent}/${name}`;
        if (!name.startsWith(ASIDE) || this.#removing.has(path)) continue;
        const failed = this.#failed.get(path);
        if (failed !== undefined && clock.now() < failed.nextAt) continue;
        this.#removing.add(path);
        try {
          await this.remove(path);
          this.#failed.delete(path);
        } catch (error) {
          const backoff = failed?.backoff ?? new Backoff({ firstMs: 60_000, maxMs: 3_600_000 });
          this.#failed.set(path, { backoff, nextAt: clock.now() + backoff.next() });
          this.#hasAsides = true;
          log.warning("Cannot remove a workspace", { path, error });
        } finally {
          this.#removing.delete(path);
        }
      }
    }
  }

  /** Removes a directory of a job. */
  async remove(path: string): Promise<void> {
    await removeJobTree(path, this.#options);
  }

  /** Makes a directory, in place of what is there: of its own slot, what a dead agent left. */
  #makeEmpty(path: string, mode: number): void {
    try {
      Deno.mkdirSync(path, { mode });
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      this.#moveAside(path);
      Deno.mkdirSync(path, { mode });
    }
  }

  #moveAside(path: string): void {
    if (moveAside(path) !== undefined) this.#hasAsides = true;
  }

  #slotOf({ jobId, number }: AttemptRef): number | undefined {
    for (const [slot, holder] of this.#held) {
      if (holder.jobId === jobId && holder.number === number) return slot;
    }
    return undefined;
  }

  /** Tells if an attempt holds a slot; one that the runner gave up before its start does not. */
  #isTaken(slot: number): boolean {
    const holder = this.#held.get(slot);
    if (holder === undefined) return false;
    const { stateDir, isActive } = this.#options;
    if (isActive(holder) || !existsSync(attemptDirectory(stateDir, holder).fenceFile)) return true;
    this.#held.delete(slot);
    return false;
  }
}

/** Makes room at a path; returns where its content is now, to be removed, if there is any. */
export function moveAside(path: string): string | undefined {
  try {
    // Usually an empty directory.
    Deno.removeSync(path);
    return undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    const aside = `${path.slice(0, path.lastIndexOf("/") + 1)}${ASIDE}${crypto.randomUUID()}`;
    Deno.renameSync(path, aside);
    return aside;
  }
}
