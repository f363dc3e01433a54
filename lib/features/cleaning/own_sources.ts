/**
 * The things of jobs below the state directory: their records and directories, workspaces of
 * attempts that are over, and drafts that were never put in place, as after a power cut.
 *
 * @module
 */
import { turn } from "@lib/core/abort.ts";
import { CicdError } from "@lib/core/errors.ts";
import { type JobId, parseJobId, parseProjectName, type ProjectName } from "@lib/core/ids.ts";
import { exists, statIfThere } from "@lib/foundations/files/records.ts";
import { treeBytes } from "@lib/foundations/store/disk_space.ts";
import { lockDirectory } from "@lib/foundations/store/state_lock.ts";
import { readSlot } from "@lib/spine/attempts/attempt_files.ts";
import { moveAside } from "@lib/spine/attempts/workspaces.ts";
import {
  ASIDE,
  attemptDirectory,
  type AttemptRef,
  jobPath,
  projectJobsPath,
  projectsIn,
  slotParents,
} from "@lib/spine/jobs/attempt_directory.ts";
import { isTerminal, type Job } from "@lib/spine/jobs/model.ts";
import type { EndedJob } from "@lib/spine/queue/job_queries.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import {
  type CleanSource,
  type RemovalResult,
  REMOVED,
  type StoredThing,
} from "@lib/api/clean_source.ts";

/** Time that an agent is given to clean up by itself. */
const SETTLED_FOR_MS = 600_000;

/** A draft that was not written to for so long is abandoned. */
const STALE_AFTER_MS = 86_400_000;

/** Names of drafts: beside their file, or hidden in its directory. */
const DRAFT = /\.tmp$|^\.(tmp|draft)-|\.git\.new$/;

/** The ended jobs: a source that can also list them without looking at the disk. */
export interface History extends CleanSource {
  /** The oldest end first; `bytes` counts only their logs. */
  list(signal: AbortSignal): Promise<readonly StoredThing[]>;
}

/** Jobs that are read from the history at once; requests go first in between. */
const HISTORY_PAGE = 500;

interface SourceOptions {
  readonly stateDir: string;
  /** Removes a directory of a job. */
  readonly removeTree: (path: string, signal: AbortSignal) => Promise<void>;
  readonly now: () => number;
}

/**
 * Finds ended jobs, measures and removes them.
 *
 * The directory goes first, then the record: what cannot be removed stays on record, and is tried
 * again. The directory is renamed before, so that a job that is retried meanwhile gets a new one.
 */
export function jobHistory(
  { store, stateDir, removeTree }: Pick<SourceOptions, "stateDir" | "removeTree"> & {
    readonly store: Pick<JobStore, "ended" | "get" | "remove" | "apply">;
  },
): History {
  // An ended job does not grow, so this process measures it once.
  let measured = new Map<string, number>();
  const list = async (signal: AbortSignal) => {
    const things: StoredThing[] = [];
    let after: EndedJob | undefined;
    do {
      const page = store.ended({ after, limit: HISTORY_PAGE });
      things.push(...page.map(thingOf));
      after = page.length < HISTORY_PAGE ? undefined : page.at(-1);
      await turn();
      signal.throwIfAborted();
    } while (after !== undefined);
    return things;
  };
  return {
    kinds: ["job"],
    list,
    async find(signal) {
      const sizes = new Map<string, number>();
      const things: StoredThing[] = [];
      for (const thing of await list(signal)) {
        const identity = `${thing.key} ${thing.lastUsedAt}`;
        const bytes = measured.get(identity) ?? await jobBytes(pathOf(stateDir, thing), signal);
        sizes.set(identity, bytes);
        things.push({ ...thing, bytes });
      }
      measured = sizes;
      return { things };
    },
    async remove(thing, signal) {
      const { id, project } = idsOf(thing);
      const isEnded = () => {
        const job = store.get(id);
        return job === undefined || isTerminal(job.state);
      };
      const aside = `${projectJobsPath(stateDir, project)}/${ASIDE}${id}`;
      const held = store.get(id);
      if (held?.heldUntil !== undefined) {
        store.apply(id, { kind: "released", attempt: held.attempt });
      }
      // As an earlier removal left it.
      if (isEnded()) await removeTree(aside, signal);
      if (!isEnded()) return RETRIED;
      if (renamed(pathOf(stateDir, thing), aside)) await removeTree(aside, signal);
      return store.remove(id) ? REMOVED : RETRIED;
    },
  };
}

const RETRIED: RemovalResult = {
  kind: "kept",
  why: "the job was retried, or removed by someone else",
};

/** Renames a directory, if it exists. */
function renamed(path: string, to: string): boolean {
  try {
    Deno.renameSync(path, to);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function thingOf({ id, project, finishedAt, logBytes }: EndedJob): StoredThing {
  return {
    kind: "job",
    key: id,
    name: id,
    project,
    bytes: logBytes,
    logBytes,
    lastUsedAt: finishedAt,
    inUse: false,
  };
}

function idsOf({ key, project: name }: StoredThing) {
  const id = parseJobId(key);
  const project = parseProjectName(name ?? "");
  if (id === undefined || project === undefined) throw new TypeError(`"${key}" is not a job`);
  return { id, project };
}

function pathOf(stateDir: string, thing: StoredThing): string {
  const { id, project } = idsOf(thing);
  return jobPath(stateDir, project, id);
}

/** Measures the directory of a job without workspaces, which are things of their own. */
async function jobBytes(path: string, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  for (const number of await namesIn(path)) {
    for (const name of await namesIn(`${path}/${number}`)) {
      if (name === "work" || name === "home" || name === "tmp") continue;
      bytes += await treeBytes(`${path}/${number}/${name}`, signal);
    }
  }
  return bytes;
}

/**
 * Finds directories of jobs that are not on record, as an interrupted removal leaves them.
 *
 * Only those older than any job that is kept: after a database was replaced, logs without a record
 * stay as long as the others. What could not be removed of a job before it was retried goes too.
 */
export function orphanSource(
  { store, stateDir, removeTree, maxAgeMs, now }: SourceOptions & {
    readonly store: Pick<JobStore, "has">;
    readonly maxAgeMs: () => number;
  },
): CleanSource {
  return {
    kinds: ["workspace"],
    async find(signal) {
      const things: StoredThing[] = [];
      for (const project of projectsIn(stateDir)) {
        for (const name of await namesIn(projectJobsPath(stateDir, project))) {
          signal.throwIfAborted();
          const isAside = name.startsWith(ASIDE);
          const id = parseJobId(isAside ? name.slice(ASIDE.length) : name);
          if (id === undefined) continue;
          // Without a directory of its own, it goes with its job.
          const goesWithJob = !isAside || !await exists(jobPath(stateDir, project, id));
          if (goesWithJob && store.has(id)) continue;
          const key = `${projectJobsPath(stateDir, project)}/${name}`;
          const info = await statIfThere(key);
          const lastUsedAt = info?.mtime?.getTime() ?? now();
          const isYoung = !isAside && now() - lastUsedAt < maxAgeMs();
          if (info?.isDirectory !== true || isYoung) continue;
          const bytes = await treeBytes(key, signal);
          things.push({ kind: "workspace", key, name, project, bytes, lastUsedAt, inUse: false });
        }
      }
      return { things };
    },
    async remove({ key }, signal) {
      const id = parseJobId(key.slice(key.lastIndexOf("/") + 1));
      if (id !== undefined && store.has(id)) return { kind: "kept", why: "its job is on record" };
      await removeTree(key, signal);
      return REMOVED;
    },
  };
}

/**
 * Finds the workspaces, homes and temporary files of attempts that are over.
 *
 * An agent cleans up after its attempts and those of its predecessor; the ones found here belong to
 * a project whose agent was not started again, or could not remove them.
 *
 * @param options `read` returns a job on record.
 */
export function workspaceSource(
  { stateDir, removeTree, read, now }: SourceOptions & {
    readonly read: (id: JobId) => Job | undefined;
  },
): CleanSource {
  return {
    kinds: ["workspace"],
    async find(signal) {
      const things: StoredThing[] = [];
      for await (const ref of attemptsIn(stateDir, signal)) {
        const lastUsedAt = overSince(read(ref.jobId), ref, now());
        if (lastUsedAt === undefined || now() - lastUsedAt < SETTLED_FOR_MS) continue;
        const { project, jobId, number } = ref;
        const { workspace, home, temporary } = attemptDirectory(stateDir, ref);
        for (const key of [workspace, home, temporary]) {
          if (await statIfThere(key) === undefined) continue;
          const name = `${jobId}/${number}/${key.slice(key.lastIndexOf("/") + 1)}`;
          const bytes = await treeBytes(key, signal);
          things.push({ kind: "workspace", key, name, project, bytes, lastUsedAt, inUse: false });
        }
      }
      return { things };
    },
    // An attempt that is over stays so: a retry gets a number, and a directory, of its own.
    async remove({ key }, signal) {
      await removeTree(key, signal);
      return REMOVED;
    },
  };
}

/** Returns when an attempt ended; `undefined` if it may go on, or is not on record. */
function overSince(
  job: Job | undefined,
  { number }: AttemptRef,
  now: number,
): number | undefined {
  if (job === undefined) return undefined;
  if (number === job.attempt && (job.heldUntil ?? 0) > now) return undefined;
  if (number < job.attempt) return job.startedAt ?? job.createdAt;
  return isTerminal(job.state) ? job.finishedAt : undefined;
}

/**
 * Finds what is left at the workspaces of projects and held by no attempt, as a crash of an agent
 * leaves it. An agent removes what it finds at the workspace of its next job; these belong to
 * projects without one.
 */
export function leftoverSource(
  { stateDir, removeTree, read, now }: SourceOptions & {
    readonly read: (id: JobId) => Job | undefined;
  },
): CleanSource {
  const isHeld = async (project: ProjectName, slot: number, signal: AbortSignal) => {
    for await (const ref of attemptsIn(stateDir, signal, [project])) {
      if (overSince(read(ref.jobId), ref, now()) !== undefined) continue;
      if (await readSlot(attemptDirectory(stateDir, ref)) === slot) return true;
    }
    return false;
  };
  return {
    kinds: ["workspace"],
    async find(signal) {
      const things: StoredThing[] = [];
      for (const project of projectsIn(stateDir)) {
        for (const parent of slotParents(stateDir, project)) {
          for (const entry of await namesIn(parent)) {
            const key = `${parent}/${entry}`;
            const lastUsedAt = (await statIfThere(key))?.mtime?.getTime() ?? now();
            if (now() - lastUsedAt < SETTLED_FOR_MS) continue;
            if (!entry.startsWith(ASIDE) && await isHeld(project, Number(entry), signal)) continue;
            const bytes = await treeBytes(key, signal);
            const name = key.slice(`${stateDir}/projects/`.length);
            things.push({ kind: "workspace", key, name, project, bytes, lastUsedAt, inUse: false });
          }
        }
      }
      return { things };
    },
    async remove({ key, project: name }, signal) {
      const project = parseProjectName(name ?? "");
      const entry = key.slice(key.lastIndexOf("/") + 1);
      if (entry.startsWith(ASIDE) || project === undefined) {
        await removeTree(key, signal);
        return REMOVED;
      }
      let aside: string | undefined;
      try {
        const directory = `${stateDir}/projects/${project}`;
        const program = "cicd-agent";
        using _lock = lockDirectory({ directory, program, remedy: "try again" });
        if (!await isHeld(project, Number(entry), signal)) aside = moveAside(key);
        else return { kind: "kept", why: "a job uses it" };
      } catch (error) {
        if (!(error instanceof CicdError && error.code === "store_locked")) throw error;
        return { kind: "kept", why: "the agent of its project is running and reuses it" };
      }
      if (aside !== undefined) await removeTree(aside, signal);
      return REMOVED;
    },
  };
}

/** Finds drafts that were not written to for a day. */
export function temporarySource(
  { stateDir, removeTree, runtimeDir, now }: SourceOptions & { readonly runtimeDir: string },
): CleanSource {
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
          const key = `${directory}/${draft}`;
          const lastUsedAt = (await statIfThere(key))?.mtime?.getTime() ?? now();
          if (now() - lastUsedAt <= STALE_AFTER_MS) continue;
          const bytes = await treeBytes(key, signal);
          things.push({ kind: "temporary", key, name: key, bytes, lastUsedAt, inUse: false });
        }
      }
      return { things };
    },
    async remove({ key, lastUsedAt }, signal) {
      const changedAt = (await statIfThere(key))?.mtime?.getTime();
      if (changedAt !== undefined && changedAt > lastUsedAt) {
        return { kind: "kept", why: "it was written to meanwhile" };
      }
      await removeTree(key, signal);
      return REMOVED;
    },
  };
}

/** Iterates over the attempts that have a directory; those that vanish meanwhile are left out. */
async function* attemptsIn(
  stateDir: string,
  signal: AbortSignal,
  projects = projectsIn(stateDir),
): AsyncGenerator<AttemptRef, void, undefined> {
  for (const project of projects) {
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

/** Returns the names in a directory; none if it does not exist. */
async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    if (error instanceof Deno.errors.NotADirectory) return [];
    throw error;
  }
}
