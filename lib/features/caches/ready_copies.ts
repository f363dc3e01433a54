/**
 * Ready copies: the unpacked files of an entry, made between jobs, so that a restore only moves them.
 *
 * The agent makes one after a job for each entry that the job used or saved. It has what the archive
 * has, whatever the job did to its own files, and the next job takes it away. A job that finds none,
 * because another one runs at once, unpacks the archive.
 *
 * A copy is `caches/<name>/<key>.<inode>-<born>-<bytes>.ready`: an entry that is saved again is
 * another file, of another time if the inode is used again. Copies count as disk space of the caches,
 * and go first when that is short.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import { ignore } from "@lib/core/errors.ts";
import type { ProjectName } from "@lib/core/ids.ts";
import { directoriesIn, filesIn } from "@lib/foundations/files/records.ts";
import { diskSpace } from "@lib/foundations/store/disk_space.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import { buildHelperEnv } from "@lib/foundations/process/scrubbed_env.ts";
import { removeTree } from "@lib/foundations/process/remove_tree.ts";
import { extract } from "@lib/features/caches/cache_archive.ts";
import {
  type CacheEntry,
  cachesPath,
  listCaches,
  packingOf,
} from "@lib/features/caches/cache_store.ts";
import type { CacheLimits } from "@lib/features/caches/keys.ts";
import { cacheNameProblem } from "@lib/spine/spec/workspace_paths.ts";

/** The end of a copy's name. */
export const READY = ".ready";

/** The unpacked files of an entry. */
export interface ReadyCopy {
  readonly path: string;
  /** Names the file of the entry's archive: `<inode>-<milliseconds of its creation>`. */
  readonly archive: string;
  /** The size of the unpacked archive. */
  readonly bytes: number;
}

/** Lists the ready copies of a project by the name of their cache, in no order. */
export function listReadyCopies(
  stateDir: string,
  project: ProjectName,
): readonly (ReadyCopy & { readonly name: string })[] {
  const directory = cachesPath(stateDir, project);
  return directoriesIn(directory)
    .filter((name) => cacheNameProblem(name) === undefined)
    .flatMap((name) => copiesIn(`${directory}/${name}`).map((copy) => ({ ...copy, name })));
}

/** The beginning of the names of what is being made or removed. */
const DRAFT = ".tmp-";

/** Lists the drafts in the caches of a project; after the end of its agent, nobody uses them. */
function listDrafts(stateDir: string, project: ProjectName): readonly string[] {
  const top = cachesPath(stateDir, project);
  const names = directoriesIn(top).filter((name) => cacheNameProblem(name) === undefined);
  return [
    ...filesIn(top).map((name) => `${top}/${name}`),
    ...names.flatMap((name) =>
      directoriesIn(`${top}/${name}`).map((draft) => `${top}/${name}/${draft}`)
    ),
  ].filter((path) => path.slice(path.lastIndexOf("/") + 1).startsWith(DRAFT));
}

/** Removes a copy, unless a job takes it first: whoever moves it has all of it. */
export async function removeCopy({ path }: Pick<ReadyCopy, "path">): Promise<void> {
  const aside = `${parentOf(path)}/${DRAFT}${crypto.randomUUID()}`;
  try {
    await Deno.rename(path, aside);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  await removeTree(aside);
}

/** Removes the ready copies of a project if the caches have more than they may. */
export async function makeRoom(
  stateDir: string,
  project: ProjectName,
  { maxBytes }: Pick<CacheLimits, "maxBytes">,
): Promise<void> {
  if (await bytesOf(stateDir, project) <= maxBytes) return;
  for (const copy of listReadyCopies(stateDir, project)) await removeCopy(copy);
}

/** An entry to make a copy of. */
interface Wanted {
  readonly path: string;
  /** The size of its unpacked archive. */
  readonly bytes: number;
}

/** Options for {@linkcode ReadyCopies}. */
interface ReadyCopiesOptions {
  readonly stateDir: string;
  readonly project: ProjectName;
  readonly limits: () => Pick<CacheLimits, "maxBytes">;
  /** Disk space that stays free: with less, no job starts. */
  readonly minFreeBytes: () => number;
  readonly run: RunCommand;
  /** The agent's own environment; only its `PATH` is used. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called when a copy cannot be made; it costs the next job the time to unpack the entry. */
  readonly onFailure: (path: string, error: unknown) => void;
}

/** Makes the ready copies of a project, one after the other. */
export class ReadyCopies {
  readonly #options: ReadyCopiesOptions;
  /** The sizes of the unpacked archives by the paths of their entries. */
  readonly #wanted = new Map<string, number>();
  #wake = Promise.withResolvers<void>();
  #making: { readonly path: string; readonly done: Promise<void> } | undefined;
  /** Of an agent that was killed; listed before this one makes any. */
  readonly #leftovers: readonly string[];

  constructor(options: ReadyCopiesOptions) {
    this.#options = options;
    this.#leftovers = listDrafts(options.stateDir, options.project);
  }

  /** Has a copy made of an entry. */
  want({ path, bytes }: Wanted): void {
    this.#wanted.set(path, bytes);
    this.#wake.resolve();
  }

  /**
   * Moves the copy of an entry to an empty directory. Waits for one that is being made.
   *
   * @param archive A name of the entry's archive that stays.
   * @returns The size of the unpacked archive; `undefined` if there is no copy.
   */
  async take(
    { path, archive, to }: { readonly path: string; readonly archive: string; readonly to: string },
    signal: AbortSignal,
  ): Promise<number | undefined> {
    this.#wanted.delete(path);
    if (this.#making?.path === path) await raceAbort(this.#making.done, signal);
    const id = idOf(await Deno.lstat(archive));
    for (const copy of copiesIn(parentOf(path))) {
      if (copy.archive !== id) continue;
      try {
        await Deno.rename(copy.path, to);
        return copy.bytes;
      } catch (error) {
        // Another job was faster, or it was cleaned away.
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    return undefined;
  }

  /** Removes what a killed agent left, and makes what is wanted until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (const path of this.#leftovers) {
      signal.throwIfAborted();
      try {
        await removeTree(path);
      } catch (error) {
        this.#options.onFailure(path, error);
      }
    }
    for (;;) {
      const [next] = this.#wanted;
      if (next === undefined) {
        await raceAbort(this.#wake.promise, signal);
        this.#wake = Promise.withResolvers();
        continue;
      }
      const [path, bytes] = next;
      this.#wanted.delete(path);
      await this.#makeNext({ path, bytes }, signal);
    }
  }

  async #makeNext(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const made = this.#make(wanted, signal);
    this.#making = { path: wanted.path, done: made.catch(ignore("reported below")) };
    try {
      await made;
    } catch (error) {
      signal.throwIfAborted();
      this.#options.onFailure(wanted.path, error);
    } finally {
      this.#making = undefined;
    }
  }

  /** Makes a copy unless there is one, the entry is gone, or there is no room. */
  async #make({ path, bytes }: Wanted, signal: AbortSignal): Promise<void> {
    const { stateDir, project, limits, minFreeBytes } = this.#options;
    const parent = parentOf(path);
    const draft = `${parent}/${DRAFT}${crypto.randomUUID()}`;
    const archive = `${draft}/archive`;
    const files = `${draft}/files`;
    try {
      await Deno.mkdir(draft, { mode: 0o700 });
      await Deno.mkdir(files, { mode: 0o700 });
      // A second name: the entry may be removed while it is read.
      await Deno.link(path, archive);
      const id = idOf(await Deno.lstat(archive));
      if (id === undefined) return;
      const copies = copiesIn(parent);
      // One copy of each cache: of the entry that was used last.
      for (const copy of copies) if (copy.archive !== id) await removeCopy(copy);
      if (copies.some((copy) => copy.archive === id)) return;
      if (await bytesOf(stateDir, project) + bytes > limits().maxBytes) return;
      if (diskSpace(parent).freeBytes - bytes < minFreeBytes()) return;
      const { run, env } = this.#options;
      const tools = { run, env: buildHelperEnv(env, ["PATH"]), packing: packingOf(path) };
      // What was wanted says a file that a job can change.
      const unpacked = await extract(tools, { archive, to: files }, signal);
      await Deno.rename(files, `${parent}/${keyOf(path)}.${id}-${unpacked}${READY}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    } finally {
      await removeTree(draft);
    }
  }
}

/** Returns the disk space of the caches of a project. */
async function bytesOf(stateDir: string, project: ProjectName): Promise<number> {
  const all: readonly Pick<CacheEntry, "bytes">[] = [
    ...await listCaches(stateDir, project),
    ...listReadyCopies(stateDir, project),
  ];
  return all.reduce((sum, { bytes }) => sum + bytes, 0);
}

function copiesIn(directory: string): readonly ReadyCopy[] {
  return directoriesIn(directory).flatMap((name) => {
    const [, archive, bytes] = /^[0-9a-f]{64}\.(\d+-\d+)-(\d{1,15})\.ready$/.exec(name) ?? [];
    if (archive === undefined || bytes === undefined) return [];
    return [{ path: `${directory}/${name}`, archive, bytes: Number(bytes) }];
  });
}

/** Returns `undefined` on a file system that does not know when a file was created. */
function idOf({ ino, birthtime }: Deno.FileInfo): string | undefined {
  return ino === null || birthtime === null ? undefined : `${ino}-${birthtime.getTime()}`;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function keyOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).slice(0, 64);
}
