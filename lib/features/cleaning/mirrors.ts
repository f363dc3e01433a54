/**
 * The copies of repositories that checkouts fetch into.
 *
 * @module
 */
import type { PlannedRemoval, StoredThing } from "@lib/features/cleaning/plan_housekeeping.ts";
import { removeTree } from "@lib/foundations/store/remove_tree.ts";
import { treeBytes } from "@lib/foundations/store/tree_bytes.ts";
import { projectsIn } from "@lib/features/cleaning/attempt_folders.ts";
import { entryAt, foldersIn } from "@lib/features/cleaning/folders.ts";
import { type CleanSource, REMOVED } from "@lib/features/cleaning/source.ts";

/** Options for {@linkcode mirrorSource}. */
export interface MirrorOptions {
  readonly stateDir: string;
  /** The projects that have a job under way. */
  readonly busyProjects: () => ReadonlySet<string>;
  /** Takes the lock that checkouts take; `undefined` if one of them has it. */
  readonly tryLock: (mirror: string, signal: AbortSignal) => Promise<Disposable | undefined>;
}

/** Finds `projects/PROJECT/mirrors/NAME.git`; the time of its `used` file is that of its last use. */
export function mirrorSource(options: MirrorOptions): CleanSource {
  const { stateDir, busyProjects, tryLock } = options;
  return {
    kinds: ["mirror"],
    async find(signal) {
      const things: StoredThing[] = [];
      const busy = busyProjects();
      for (const project of await projectsIn(stateDir)) {
        const folder = `${stateDir}/projects/${project}/mirrors`;
        for (const name of await foldersIn(folder)) {
          signal.throwIfAborted();
          if (!name.endsWith(".git")) continue;
          const path = `${folder}/${name}`;
          things.push({
            kind: "mirror",
            key: path,
            name: `${project}/${name}`,
            project,
            bytes: await treeBytes(path, signal),
            lastUsedAt: await lastUseOf(path),
            // A checkout may borrow its objects for as long as its job runs.
            inUse: busy.has(project),
          });
        }
      }
      return { things, skipped: [] };
    },
    async remove({ key, project, lastUsedAt }: PlannedRemoval, signal) {
      using lock = await tryLock(key, signal);
      if (lock === undefined) return { kind: "kept", why: "a checkout is using it" };
      if (busyProjects().has(project ?? "") || await lastUseOf(key) > lastUsedAt) {
        return { kind: "kept", why: "a job has used it meanwhile" };
      }
      await removeTree(key);
      return REMOVED;
    },
  };
}

async function lastUseOf(mirror: string): Promise<number> {
  const used = await entryAt(`${mirror}/used`) ?? await entryAt(mirror);
  return used?.changedAt ?? 0;
}
