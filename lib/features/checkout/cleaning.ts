/**
 * Cleans the mirrors that checkouts fetch into.
 *
 * @module
 */
import {
  type CleanSource,
  type KeepLimits,
  REMOVED,
  type StoredThing,
} from "@lib/api/clean_source.ts";
import type { RunnerServices } from "@lib/api/feature.ts";
import { MIRRORS } from "@lib/features/checkout/keys.ts";
import { mirrorsPath, tryLockMirror } from "@lib/features/checkout/mirror.ts";
import { directoriesIn, statIfThere } from "@lib/foundations/files/records.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { treeBytes } from "@lib/foundations/store/disk_space.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { projectsIn } from "@lib/spine/jobs/attempt_directory.ts";

/** Makes the sources. */
export function sources({ config, store }: RunnerServices): readonly CleanSource[] {
  return [mirrorSource({
    stateDir: config().of(PROGRAM).stateDir,
    busyProjects: () => new Set(store.inFlight().map(({ spec }) => spec.project)),
    limits: () => ({ ...config().of(MIRRORS), maxBytes: Infinity }),
  })];
}

/** Options for {@linkcode mirrorSource}. */
export interface MirrorSourceOptions {
  readonly stateDir: string;
  /** Returns the projects with a job in progress. */
  readonly busyProjects: () => ReadonlySet<string>;
  readonly limits: () => KeepLimits;
}

/** Finds mirrors; the time of a mirror's `used` file is its last use. */
export function mirrorSource(options: MirrorSourceOptions): CleanSource {
  const { stateDir, busyProjects, limits } = options;
  return {
    kinds: ["mirror"],
    keep: () => ({ mirror: limits() }),
    async find(signal) {
      const things: StoredThing[] = [];
      const busy = busyProjects();
      for (const project of projectsIn(stateDir)) {
        const mirrors = mirrorsPath(stateDir, project);
        for (const name of directoriesIn(mirrors).filter((each) => each.endsWith(".git"))) {
          const path = `${mirrors}/${name}`;
          things.push({
            kind: "mirror",
            key: path,
            name: `${project}/${name}`,
            project,
            bytes: await treeBytes(path, signal),
            lastUsedAt: await lastUseOf(path),
            // A checkout may use its objects for as long as its job runs.
            inUse: busy.has(project),
          });
        }
      }
      return { things };
    },
    async remove({ key, project, lastUsedAt }) {
      using lock = tryLockMirror(key);
      if (lock === undefined) return { kind: "kept", why: "a checkout is using it" };
      if (busyProjects().has(project ?? "") || await lastUseOf(key) > lastUsedAt) {
        return { kind: "kept", why: "a job has used it in the meantime" };
      }
      await removeTree(key);
      return REMOVED;
    },
  };
}

async function lastUseOf(mirror: string): Promise<number> {
  const used = await statIfThere(`${mirror}/used`) ?? await statIfThere(mirror);
  return used?.mtime?.getTime() ?? 0;
}
