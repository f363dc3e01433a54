/**
 * Drafts of files that were never put in place, as a power cut leaves them.
 *
 * @module
 */
import { attemptFolder } from "@lib/spine/jobs/attempt_folder.ts";
import type { StoredThing } from "@lib/features/cleaning/plan_housekeeping.ts";
import { removeTree } from "@lib/foundations/store/remove_tree.ts";
import { treeBytes } from "@lib/foundations/store/tree_bytes.ts";
import { attemptsIn, projectsIn } from "@lib/features/cleaning/attempt_folders.ts";
import { entriesOf, entryAt, foldersIn, type FoundEntry } from "@lib/features/cleaning/folders.ts";
import { type CleanSource, REMOVED } from "@lib/features/cleaning/source.ts";

/** No draft is written to for so long. */
const STALE_AFTER_MS = 86_400_000;

/** How drafts are named: beside their file, or hidden in its folder. */
const DRAFT = /\.tmp$|^\.(tmp|draft)-|\.git\.new$/;

/** Options for {@linkcode temporarySource}. */
export interface TemporaryOptions {
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly now: () => number;
}

/** Finds drafts that nobody has written to for a day. */
export function temporarySource({ stateDir, runtimeDir, now }: TemporaryOptions): CleanSource {
  const isStale = ({ name, changedAt }: FoundEntry) =>
    DRAFT.test(name) && now() - changedAt > STALE_AFTER_MS;
  return {
    kinds: ["temporary"],
    async find(signal) {
      const folders = [stateDir, `${stateDir}/images`, `${runtimeDir}/secrets`];
      for (const project of await projectsIn(stateDir)) {
        const own = `${stateDir}/projects/${project}`;
        folders.push(own, `${own}/mirrors`, `${own}/caches`);
        for (const cache of await foldersIn(`${own}/caches`)) {
          folders.push(`${own}/caches/${cache}`);
        }
      }
      for await (const ref of attemptsIn(stateDir, signal)) {
        folders.push(attemptFolder(stateDir, ref).path);
      }
      const things: StoredThing[] = [];
      for (const folder of folders) {
        signal.throwIfAborted();
        for (const entry of (await entriesOf(folder)).filter(isStale)) {
          things.push({
            kind: "temporary",
            key: entry.path,
            name: entry.path,
            bytes: await treeBytes(entry.path, signal),
            lastUsedAt: entry.changedAt,
            inUse: false,
          });
        }
      }
      return { things, skipped: [] };
    },
    async remove({ key, lastUsedAt }) {
      const entry = await entryAt(key);
      if (entry !== undefined && entry.changedAt > lastUsedAt) {
        return { kind: "kept", why: "it was written to meanwhile" };
      }
      await removeTree(key);
      return REMOVED;
    },
  };
}
