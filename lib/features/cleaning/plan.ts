/**
 * Plans which things of jobs are removed, and why; `cleaner.ts` finds and removes them.
 *
 * @module
 */
import type { CleanKind, KeepByKind, KeepLimits, StoredThing } from "@lib/api/clean_source.ts";

/** The causes of removals. */
export const CLEAN_CAUSES = ["age", "count", "bytes", "free_disk", "left_behind"] as const;
/** A cause of {@linkcode CLEAN_CAUSES}. */
export type CleanCause = typeof CLEAN_CAUSES[number];

/** Things that are cheap to recreate come first; ended jobs never come back. */
const CHEAPEST_FIRST: readonly CleanKind[] = [
  "container",
  "network",
  "workspace",
  "temporary",
  "cache",
  "image",
  "mirror",
  "job",
];

/** Returns the cost of recreating things of `kind`; a lower rank is cheaper. */
export function costRank(kind: CleanKind): number {
  return CHEAPEST_FIRST.indexOf(kind);
}

/** Limits of the history. */
export interface HistoryLimits {
  readonly maxAgeMs: number;
  readonly maxJobs: number;
  /** Allocated bytes of all ended jobs. */
  readonly maxBytes: number;
  /** The floor: with less free disk than this, more goes. */
  readonly minFreeDiskBytes: number;
}

/** A thing to remove. */
export interface PlannedRemoval extends StoredThing {
  readonly cause: CleanCause;
}

/** The input of the plan. */
export interface CleaningFacts {
  readonly now: number;
  readonly freeBytes: number;
  /** Of all kinds; ended jobs are those of kind `job`, last used when they ended. */
  readonly things: readonly StoredThing[];
}

/** Limits of everything. */
export interface CleaningLimits {
  readonly history: HistoryLimits;
  /** Things of kinds that are not listed, but for jobs, are orphans. */
  readonly keep: KeepByKind;
}

/** The removals. */
interface CleaningPlan {
  readonly removals: readonly PlannedRemoval[];
  /** Bytes missing to the floor after everything but history was removed for it. */
  readonly missingBytes: number;
  /** The ended jobs that stay though the floor is not reached: removing all would not reach it. */
  readonly keptHistory?: { readonly jobs: number; readonly bytes: number };
}

/**
 * Chooses the removals.
 *
 * Orphans and things beyond their own limits go first. While the disk is still below the floor, more
 * goes: things that are cheap to recreate first, of each kind the least recently used. The history
 * goes last, the oldest first, and only if that reaches the floor; a job stays if the floor is
 * reached without it.
 */
export function planCleaning(facts: CleaningFacts, limits: CleaningLimits): CleaningPlan {
  const { things, now } = facts;
  const byKind = Map.groupBy(things, ({ kind }) => kind);
  const usual = CHEAPEST_FIRST.flatMap((kind) => {
    const own = byKind.get(kind) ?? [];
    if (kind === "job") return jobsBeyondLimits(own, limits.history, now);
    const keep = limits.keep[kind];
    if (keep === undefined) return own.filter(({ inUse }) => !inUse).map(because("left_behind"));
    const groups = keep.perProject === true
      ? [...Map.groupBy(own, ({ project }) => project).values()]
      : [own];
    return groups.flatMap((group) => beyondLimits(group, keep, now));
  });
  const chosen = new Set(usual.map(identityOf));
  const rest = things
    .filter((thing) => !thing.inUse && freedBy(thing) > 0 && !chosen.has(identityOf(thing)))
    .toSorted((a, b) => costRank(a.kind) - costRank(b.kind) || a.lastUsedAt - b.lastUsedAt);
  const lacking = limits.history.minFreeDiskBytes - facts.freeBytes - sum(usual, freedBy);
  const cheap = untilFreed(rest.filter(({ kind }) => kind !== "job"), lacking);
  const missingBytes = Math.max(0, lacking - sum(cheap, freedBy));
  const jobs = rest.filter(({ kind }) => kind === "job");
  const historyBytes = sum(jobs, freedBy);
  const helps = historyBytes >= missingBytes;
  const history = helps ? withoutNeedless(untilFreed(jobs, missingBytes), missingBytes) : [];
  return {
    removals: [...usual, ...[...cheap, ...history].map(because("free_disk"))],
    missingBytes,
    ...(helps || jobs.length === 0
      ? {}
      : { keptHistory: { jobs: jobs.length, bytes: historyBytes } }),
  };
}

/** Chooses old things, and of the rest the least recently used until the rest fits. */
function beyondLimits(
  things: readonly StoredThing[],
  { maxAgeMs, maxBytes }: KeepLimits,
  now: number,
): readonly PlannedRemoval[] {
  const removals: PlannedRemoval[] = [];
  let bytes = sum(things, bytesOf);
  for (const thing of things.toSorted(leastRecentlyUsed)) {
    if (thing.inUse) continue;
    const isOld = now - thing.lastUsedAt > maxAgeMs;
    if (!isOld && bytes <= maxBytes) break;
    removals.push({ ...thing, cause: isOld ? "age" : "bytes" });
    bytes -= thing.bytes;
  }
  return removals;
}

function jobsBeyondLimits(
  jobs: readonly StoredThing[],
  { maxAgeMs, maxJobs, maxBytes }: HistoryLimits,
  now: number,
): readonly PlannedRemoval[] {
  const removals: PlannedRemoval[] = [];
  let count = jobs.length;
  let bytes = sum(jobs, bytesOf);
  for (const job of jobs.toSorted(leastRecentlyUsed)) {
    const cause = now - job.lastUsedAt > maxAgeMs
      ? "age"
      : count > maxJobs
      ? "count"
      : bytes > maxBytes
      ? "bytes"
      : undefined;
    if (cause === undefined) break;
    removals.push({ ...job, cause });
    count--;
    bytes -= job.bytes;
  }
  return removals;
}

/** Returns the first of `things` that together free enough; all if they do not. */
function untilFreed(things: readonly StoredThing[], missingBytes: number): readonly StoredThing[] {
  let missing = missingBytes;
  return things.filter((thing) => {
    if (missing <= 0) return false;
    missing -= freedBy(thing);
    return true;
  });
}

/** Leaves out things that are not needed, the youngest first: small jobs beside a large one. */
function withoutNeedless(
  things: readonly StoredThing[],
  missingBytes: number,
): readonly StoredThing[] {
  let surplus = sum(things, freedBy) - missingBytes;
  return things.toReversed().filter((thing) => {
    if (freedBy(thing) > surplus) return true;
    surplus -= freedBy(thing);
    return false;
  }).toReversed();
}

function because(cause: CleanCause): (thing: StoredThing) => PlannedRemoval {
  return (thing) => ({ ...thing, cause });
}

function identityOf({ kind, key }: StoredThing): string {
  return `${kind} ${key}`;
}

function bytesOf({ bytes }: StoredThing): number {
  return bytes;
}

function freedBy({ bytes, freedBytes = bytes }: StoredThing): number {
  return freedBytes;
}

function sum(things: readonly StoredThing[], of: (thing: StoredThing) => number): number {
  return things.reduce((total, thing) => total + of(thing), 0);
}

function leastRecentlyUsed(a: StoredThing, b: StoredThing): number {
  return a.lastUsedAt - b.lastUsedAt;
}
