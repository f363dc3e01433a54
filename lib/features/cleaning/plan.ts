/**
 * What is removed of all that jobs leave on a machine, and why. Decides only: `cleaner.ts` looks
 * and removes.
 *
 * @module
 */
import type { CleanKind, KeepByKind, KeepLimits, StoredThing } from "@lib/api/clean_source.ts";

/** Why something is removed. */
export const CLEAN_CAUSES = ["age", "count", "bytes", "free_disk", "left_behind"] as const;
/** A cause of {@linkcode CLEAN_CAUSES}. */
export type CleanCause = typeof CLEAN_CAUSES[number];

/** What is cheap to get again comes first; ended jobs never come back. */
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

/** Says how much it costs to get things of `kind` again; a lower rank is cheaper. */
export function costRank(kind: CleanKind): number {
  return CHEAPEST_FIRST.indexOf(kind);
}

/** How much of the history is kept. */
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

/** What the decision depends on. */
export interface CleaningFacts {
  readonly now: number;
  readonly freeBytes: number;
  /** Of all kinds; ended jobs are those of kind `job`, last used when they ended. */
  readonly things: readonly StoredThing[];
}

/** Limits of everything. */
export interface CleaningLimits {
  readonly history: HistoryLimits;
  /** Things of another kind than these and jobs are wanted by nobody. */
  readonly keep: KeepByKind;
}

/** What is removed. */
export interface CleaningPlan {
  readonly removals: readonly PlannedRemoval[];
  /** What the floor lacks after everything but history was removed for it. */
  readonly missingBytes: number;
  /** The ended jobs that stay though the floor is not reached: removing all would not reach it. */
  readonly keptHistory?: { readonly jobs: number; readonly bytes: number };
}

/**
 * Chooses what is removed.
 *
 * First what is left behind and what is beyond its own limit. If the disk is still below the floor
 * then, more goes until it is not: what is cheap to get again first, of each kind the least
 * recently used. The history goes last, the oldest first, and only if that reaches the floor; a job
 * stays if the floor is reached without it.
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

/** Chooses what is too old, and of the rest the least recently used until it is small enough. */
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

/** The first of `things` that together free so much; all if they do not. */
function untilFreed(things: readonly StoredThing[], missingBytes: number): readonly StoredThing[] {
  let missing = missingBytes;
  return things.filter((thing) => {
    if (missing <= 0) return false;
    missing -= freedBy(thing);
    return true;
  });
}

/** Leaves out what the rest can do without, the youngest first: small jobs beside a large one. */
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
