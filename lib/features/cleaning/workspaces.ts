/**
 * What attempts that are over left in the job folders.
 *
 * An agent clears up after its attempts, and after those of its predecessor;
 * what is found here belongs to a project whose agent was not started again,
 * or could not remove it.
 *
 * @module
 */
import type { JobId } from "@lib/core/ids.ts";
import { attemptFolder, type AttemptRef } from "@lib/spine/jobs/attempt_folder.ts";
import type { StoredThing } from "@lib/features/cleaning/plan_housekeeping.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import { removeTree } from "@lib/foundations/store/remove_tree.ts";
import { treeBytes } from "@lib/foundations/store/tree_bytes.ts";
import { attemptsIn } from "@lib/features/cleaning/attempt_folders.ts";
import { entryAt } from "@lib/features/cleaning/folders.ts";
import { type CleanSource, REMOVED } from "@lib/features/cleaning/source.ts";

/** How long an agent is given to clear up by itself. */
const SETTLED_FOR_MS = 600_000;

/** Options for {@linkcode workspaceSource}. */
export interface WorkspaceOptions {
  readonly stateDir: string;
  /** A job on record. */
  readonly read: (id: JobId) => Job | undefined;
  readonly now: () => number;
}

/** Finds the workspaces and homes of attempts that are over. */
export function workspaceSource(options: WorkspaceOptions): CleanSource {
  const { stateDir, read, now } = options;
  /** When the attempt was over; `undefined` if it may go on, or is not on record. */
  const overSince = ({ jobId, number }: AttemptRef): number | undefined => {
    const job = read(jobId);
    if (job === undefined) return undefined;
    if (number < job.attempt) return job.startedAt ?? job.createdAt;
    return isTerminal(job.state) ? job.finishedAt : undefined;
  };
  return {
    kinds: ["workspace"],
    async find(signal) {
      const things: StoredThing[] = [];
      for await (const ref of attemptsIn(stateDir, signal)) {
        const since = overSince(ref);
        if (since === undefined || now() - since < SETTLED_FOR_MS) continue;
        const { workspace, home } = attemptFolder(stateDir, ref);
        for (const path of [workspace, home]) {
          const entry = await entryAt(path);
          if (entry === undefined) continue;
          things.push({
            kind: "workspace",
            key: path,
            name: `${ref.jobId}/${ref.number}/${entry.name}`,
            project: ref.project,
            bytes: await treeBytes(path, signal),
            lastUsedAt: since,
            inUse: false,
          });
        }
      }
      return { things, skipped: [] };
    },
    // An attempt that is over stays so: a retry gets a number, and a folder, of its own.
    async remove({ key }) {
      await removeTree(key);
      return REMOVED;
    },
  };
}
