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
        for (const { path, name, lastUsedAt } of await listCaches(stateDir, project)) {
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
      await removeCache({ path: key });
      return REMOVED;
    },
  };
}
