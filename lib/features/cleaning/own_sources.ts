/**
 * What jobs leave below the state directory: their records and directories, workspaces of attempts
 * that are over, and drafts of files that were never put in place, as a power cut leaves them.
 *
 * @module
 */
import { type JobId, parseJobId, parseProjectName } from "@lib/core/ids.ts";
import { statIfThere } from "@lib/foundations/files/records.ts";
import { treeBytes } from "@lib/foundations/store/disk_space.ts";
import { removeTree } from "@lib/foundations/store/remove_tree.ts";
import {
  attemptDirectory,
  type AttemptRef,
  jobPath,
  projectJobsPath,
  projectsIn,
} from "@lib/spine/jobs/attempt_directory.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import { type CleanSource, REMOVED, type StoredThing } from "@lib/api/clean_source.ts";

/** How long an agent is given to clear up by itself. */
const SETTLED_FOR_MS = 600_000;

/** No draft is written to for so long. */
const STALE_AFTER_MS = 86_400_000;

/** How drafts are named: beside their file, or hidden in its directory. */
const DRAFT = /\.tmp$|^\.(tmp|draft)-|\.git\.new$/;

/** The ended jobs: a source that can also list them without looking at the disk. */
export interface History extends CleanSource {
  /** The oldest end first; their logs are all of their bytes that are known. */
  list(): readonly StoredThing[];
}

/** What the sources work on. */
export interface OwnOptions {
  readonly store: Pick<JobStore, "ended" | "remove">;
  readonly stateDir: string;
}

/**
 * Finds ended jobs, measures and removes them.
 *
 * The record goes first, then the directory: only the record's removal can tell that the job has
 * not been retried meanwhile. A crash in between leaves an orphan for {@linkcode orphanSource}.
 */
export function jobHistory({ store, stateDir }: OwnOptions): History {
  // An ended job does not grow, so it is measured once in the life of this process.
  let measured = new Map<string, number>();
  const list = () =>
    store.ended().map(({ id, project, finishedAt, logBytes }): StoredThing => ({
      kind: "job",
      key: id,
      name: id,
      project,
      bytes: logBytes,
      logBytes,
      lastUsedAt: finishedAt,
      inUse: false,
    }));
  return {
    kinds: ["job"],
    list,
    async find(signal) {
      const sizes = new Map<string, number>();
      const things: StoredThing[] = [];
      for (const thing of list()) {
        const identity = `${thing.key} ${thing.lastUsedAt}`;
        const bytes = measured.get(identity) ?? await jobBytes(stateDir, idsOf(thing), signal);
        sizes.set(identity, bytes);
        things.push({ ...thing, bytes });
      }
      measured = sizes;
      return { things };
    },
    async remove(thing) {
      const { id, project } = idsOf(thing);
      if (!store.remove(id)) {
        return { kind: "kept", why: "the job was retried, or removed by someone else" };
      }
      await removeTree(jobPath(stateDir, project, id));
      return REMOVED;
    },
  };
}

function idsOf({ key, project: name }: StoredThing) {
  const id = parseJobId(key);
  const project = parseProjectName(name ?? "");
  if (id === undefined || project === undefined) throw new TypeError(`"${key}" is no job`);
  return { id, project };
}

/** Measures all that a job keeps; workspaces are left out, as they are things of their own. */
async function jobBytes(
  stateDir: string,
  { id, project }: ReturnType<typeof idsOf>,
  signal: AbortSignal,
): Promise<number> {
  const path = jobPath(stateDir, project, id);
  let bytes = 0;
  for (const number of await namesIn(path)) {
    for (const name of await namesIn(`${path}/${number}`)) {
      if (name === "work" || name === "home") continue;
      bytes += await treeBytes(`${path}/${number}/${name}`, signal);
    }
  }
  return bytes;
}

/** Options for {@linkcode orphanSource}. */
export interface OrphanOptions {
  readonly store: Pick<JobStore, "has">;
  readonly stateDir: string;
  readonly maxAgeMs: () => number;
  readonly now: () => number;
}

/**
 * Finds directories of jobs that are not on record, as an interrupted removal leaves them.
 *
 * Only those older than any job that is kept: after a database was replaced, the logs that it no
 * longer knows of stay for as long as the others do.
 */
export function orphanSource({ store, stateDir, maxAgeMs, now }: OrphanOptions): CleanSource {
  return {
    kinds: ["workspace"],
    async find(signal) {
      const things: StoredThing[] = [];
      for (const project of projectsIn(stateDir)) {
        for (const name of await namesIn(projectJobsPath(stateDir, project))) {
          signal.throwIfAborted();
          const id = parseJobId(name);
          if (id === undefined || store.has(id)) continue;
          const path = jobPath(stateDir, project, id);
          const info = await statIfThere(path);
          const changedAt = info?.mtime?.getTime() ?? now();
          if (info?.isDirectory !== true || now() - changedAt < maxAgeMs()) continue;
          const bytes = await treeBytes(path, signal);
          things.push(leftover("workspace", path, { name, project, bytes, lastUsedAt: changedAt }));
        }
      }
      return { things };
    },
    async remove({ key }) {
      const id = parseJobId(key.slice(key.lastIndexOf("/") + 1));
      if (id !== undefined && store.has(id)) return { kind: "kept", why: "its job is on record" };
      await removeTree(key);
      return REMOVED;
    },
  };
}

/** Options for {@linkcode workspaceSource}. */
export interface WorkspaceOptions {
  readonly stateDir: string;
  /** Reads a job on record. */
  readonly read: (id: JobId) => Job | undefined;
  readonly now: () => number;
}

/**
 * Finds the workspaces and homes of attempts that are over.
 *
 * An agent clears up after its attempts, and after those of its predecessor; what is found here
 * belongs to a project whose agent was not started again, or could not remove it.
 */
export function workspaceSource({ stateDir, read, now }: WorkspaceOptions): CleanSource {
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
        const { workspace, home } = attemptDirectory(stateDir, ref);
        for (const path of [workspace, home]) {
          if (await statIfThere(path) === undefined) continue;
          things.push(leftover("workspace", path, {
            name: `${ref.jobId}/${ref.number}/${path.slice(path.lastIndexOf("/") + 1)}`,
            project: ref.project,
            bytes: await treeBytes(path, signal),
            lastUsedAt: since,
          }));
        }
      }
      return { things };
    },
    // An attempt that is over stays so: a retry gets a number, and a directory, of its own.
    async remove({ key }) {
      await removeTree(key);
      return REMOVED;
    },
  };
}

/** Options for {@linkcode temporarySource}. */
export interface TemporaryOptions {
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly now: () => number;
}

/** Finds drafts that nobody has written to for a day. */
export function temporarySource({ stateDir, runtimeDir, now }: TemporaryOptions): CleanSource {
  return {
    kinds: ["temporary"],
    async find(signal) {
      const directories = [stateDir, `${stateDir}/images`, `${runtimeDir}/secrets`];
      for (const project of projectsIn(stateDir)) {
        const own = `${stateDir}/projects/${project}`;
        directories.push(own, `${own}/mirrors`, `${own}/caches`);
        for (const cache of await namesIn(`${own}/caches`)) {
          directories.push(`${own}/caches/${cache}`);
        }
      }
      for await (const ref of attemptsIn(stateDir, signal)) {
        directories.push(attemptDirectory(stateDir, ref).path);
      }
      const things: StoredThing[] = [];
      for (const directory of directories) {
        signal.throwIfAborted();
        for (const draft of (await namesIn(directory)).filter((name) => DRAFT.test(name))) {
          const path = `${directory}/${draft}`;
          const lastUsedAt = (await statIfThere(path))?.mtime?.getTime() ?? now();
          if (now() - lastUsedAt <= STALE_AFTER_MS) continue;
          const bytes = await treeBytes(path, signal);
          things.push(leftover("temporary", path, { name: path, bytes, lastUsedAt }));
        }
      }
      return { things };
    },
    async remove({ key, lastUsedAt }) {
      const changedAt = (await statIfThere(key))?.mtime?.getTime();
      if (changedAt !== undefined && changedAt > lastUsedAt) {
        return { kind: "kept", why: "it was written to meanwhile" };
      }
      await removeTree(key);
      return REMOVED;
    },
  };
}

function leftover(
  kind: "workspace" | "temporary",
  key: string,
  facts: Pick<StoredThing, "name" | "project" | "bytes" | "lastUsedAt">,
): StoredThing {
  return { kind, key, inUse: false, ...facts };
}

/** Walks the attempts that have a directory; those that vanish meanwhile are left out. */
async function* attemptsIn(
  stateDir: string,
  signal: AbortSignal,
): AsyncGenerator<AttemptRef, void, undefined> {
  for (const project of projectsIn(stateDir)) {
    const jobs = projectJobsPath(stateDir, project);
    for (const directory of await namesIn(jobs)) {
      const jobId = parseJobId(directory);
      if (jobId === undefined) continue;
      for (const number of await namesIn(`${jobs}/${directory}`)) {
        signal.throwIfAborted();
        if (/^[1-9]\d{0,5}$/.test(number)) yield { project, jobId, number: Number(number) };
      }
    }
  }
}

/** The names in a directory; none if it is not there. */
async function namesIn(path: string): Promise<readonly string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(path)) names.push(name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    if (error instanceof Deno.errors.NotADirectory) return [];
    throw error;
  }
  return names;
}
