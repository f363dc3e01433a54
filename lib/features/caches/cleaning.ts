/**
 * Cleaning of the caches of all projects.
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
import { listCaches, removeCache } from "@lib/features/caches/cache_store.ts";
import { CACHES } from "@lib/features/caches/keys.ts";
import { listReadyCopies, READY, removeCopy } from "@lib/features/caches/ready_copies.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { statIfThere } from "@lib/foundations/files/records.ts";
import { PROGRAM } from "@lib/foundations/config/program_keys.ts";
import { treeBytes } from "@lib/foundations/store/disk_space.ts";
import { projectsIn } from "@lib/spine/jobs/attempt_directory.ts";

/** Returns the sources. */
export function sources({ config }: RunnerServices): readonly CleanSource[] {
  const { stateDir } = config().of(PROGRAM);
  return [cacheSource({ stateDir, limits: () => config().of(CACHES) })];
}

/**
 * Finds caches; one may go while a job restores it, as that job holds it by another name.
 *
 * @param options The limits are those of each project.
 */
export function cacheSource(
  { stateDir, limits }: { readonly stateDir: string; readonly limits: () => KeepLimits },
): CleanSource {
  return {
    kinds: ["cache"],
    keep: () => ({ cache: { ...limits(), perProject: true } }),
    async find(signal) {
      const things: StoredThing[] = [];
      for (const project of projectsIn(stateDir)) {
        const stored = [
          ...await listCaches(stateDir, project),
          ...await readyCopiesWithTimes(stateDir, project),
        ];
        for (const { path, name, lastUsedAt } of stored) {
          things.push({
            kind: "cache",
            key: path,
            name: `${project}/${name}`,
            project,
            bytes: await treeBytes(path, signal),
            lastUsedAt,
            inUse: false,
          });
        }
      }
      return { things };
    },
    async remove({ key }) {
      await (key.endsWith(READY) ? removeCopy : removeCache)({ path: key });
      return REMOVED;
    },
  };
}

/** A copy's own time is that of its making. */
async function readyCopiesWithTimes(stateDir: string, project: ProjectName) {
  return await Promise.all(
    listReadyCopies(stateDir, project).map(async ({ path, name }) => {
      const lastUsedAt = (await statIfThere(path))?.mtime?.getTime() ?? 0;
      return { path, name, lastUsedAt };
    }),
  );
}
