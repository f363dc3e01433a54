/**
 * What of all that jobs leave on a machine is removed, and why. Decides only;
 * `lib/housekeeping/` looks and removes.
 *
 * @module
 */
import type { EndedJob } from "@lib/spine/queue/job_queries.ts";
import {
  planRetention,
  type RemovalCause,
  type RetentionLimits,
} from "@lib/features/cleaning/plan_retention.ts";

/** What may be removed. */
export const CLEAN_KINDS = [
  "job",
  "cache",
  "image",
  "mirror",
  "container",
  "network",
  "workspace",
  "temporary",
] as const;
/** A kind of {@linkcode CLEAN_KINDS}. */
export type CleanKind = typeof CLEAN_KINDS[number];

/** Why something is removed. */
export const CLEAN_CAUSES = [
  "age",
  "count",
  "bytes",
  "free_disk",
  "left_behind",
] as const satisfies readonly (RemovalCause | "left_behind")[];
/** A cause of {@linkcode CLEAN_CAUSES}. */
export type CleanCause = typeof CLEAN_CAUSES[number];

/** Something on the machine that could be removed. */
export interface StoredThing {
  readonly kind: CleanKind;
  /** Names it to whoever found it: a path, or an id. */
  readonly key: string;
  /** Names it to people. */
  readonly name: string;
  readonly project?: string;
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly lastUsedAt: number;
  /** A job under way needs it, so it stays whatever the limits say. */
  readonly inUse: boolean;
}

/** A thing to remove. */
export interface PlannedRemoval extends StoredThing {
  readonly cause: CleanCause;
}

/** What the decision depends on. */
export interface HousekeepingFacts {
  readonly now: number;
  readonly freeDiskBytes: number;
  /** The oldest end first. */
  readonly jobs: readonly EndedJob[];
  /** Bytes on disk of an ended job: its logs and artifacts. */
  readonly bytesOf: (job: EndedJob) => number;
  readonly caches: readonly StoredThing[];
  readonly images: readonly StoredThing[];
  readonly mirrors: readonly StoredThing[];
  /** What nobody wants any more, of any kind. */
  readonly leftovers: readonly StoredThing[];
  /** Whether removing an image frees the disk that `freeDiskBytes` speaks of. */
  readonly imagesShareDisk: boolean;
}

/** How much is kept. */
export interface HousekeepingLimits {
  readonly retention: RetentionLimits;
  /** For the caches of each project. */
  readonly caches: KeepLimits;
  /** For all images together. */
  readonly images: KeepLimits;
  readonly mirrors: KeepLimits;
}

/** Bounds of a kind of thing. */
export interface KeepLimits {
  /** Since its last use. */
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

/**
 * Chooses what is removed.
 *
 * First what is left behind and what is beyond its own limit. If the disk is still below the floor
 * then, more goes until it is not: what comes back by itself before what does not, so caches,
 * images, mirrors, and ended jobs last; of each the one that was not used for longest.
 */
export function planHousekeeping(
  facts: HousekeepingFacts,
  limits: HousekeepingLimits,
): readonly PlannedRemoval[] {
  const { now, caches, images, mirrors, leftovers } = facts;
  const jobs = facts.jobs.map((job) => jobThing(job, facts.bytesOf(job)));
  const usual = [
    ...leftovers.filter(({ inUse }) => !inUse).map(causedBy("left_behind")),
    ...[...byProject(caches).values()].flatMap((own) => beyondLimits(own, limits.caches, now)),
    ...beyondLimits(images, limits.images, now),
    ...beyondLimits(mirrors, limits.mirrors, now),
    ...jobsBeyondLimits(facts, limits.retention),
  ];
  const freesDisk = ({ kind }: StoredThing) => kind !== "image" || facts.imagesShareDisk;
  const chosen = new Set(usual.map(identityOf));
  const more = [caches, images, mirrors, jobs]
    .flatMap((things) => leastRecentlyUsedFirst(things))
    .filter((thing) => freesDisk(thing) && !thing.inUse && !chosen.has(identityOf(thing)));
  const free = facts.freeDiskBytes + totalBytes(usual.filter(freesDisk));
  return [...usual, ...untilFree(more, limits.retention.minFreeDiskBytes - free)];
}

/** The things that are too old, and of the others the oldest until the rest is small enough. */
function beyondLimits(
  things: readonly StoredThing[],
  { maxAgeMs, maxBytes }: KeepLimits,
  now: number,
): readonly PlannedRemoval[] {
  const removals: PlannedRemoval[] = [];
  let bytes = totalBytes(things);
  for (const thing of leastRecentlyUsedFirst(things)) {
    if (thing.inUse) continue;
    const cause = now - thing.lastUsedAt > maxAgeMs
      ? "age"
      : bytes > maxBytes
      ? "bytes"
      : undefined;
    if (cause === undefined) break;
    removals.push({ ...thing, cause });
    bytes -= thing.bytes;
  }
  return removals;
}

/** The floor is not looked at here: ended jobs are the last that go for it. */
function jobsBeyondLimits(
  { jobs, bytesOf, now, freeDiskBytes }: HousekeepingFacts,
  limits: RetentionLimits,
): readonly PlannedRemoval[] {
  const facts = { ended: jobs, now, freeDiskBytes, bytesOf };
  return planRetention(facts, { ...limits, minFreeDiskBytes: 0 })
    .map(({ job, cause }) => ({ ...jobThing(job, bytesOf(job)), cause }));
}

function untilFree(
  things: readonly StoredThing[],
  missingBytes: number,
): readonly PlannedRemoval[] {
  const removals: PlannedRemoval[] = [];
  let missing = missingBytes;
  for (const thing of things) {
    if (missing <= 0) break;
    // What frees nothing would only be lost.
    if (thing.bytes === 0) continue;
    removals.push({ ...thing, cause: "free_disk" });
    missing -= thing.bytes;
  }
  return removals;
}

function jobThing({ id, project, finishedAt }: EndedJob, bytes: number): StoredThing {
  return { kind: "job", key: id, name: id, project, bytes, lastUsedAt: finishedAt, inUse: false };
}

function causedBy(cause: CleanCause): (thing: StoredThing) => PlannedRemoval {
  return (thing) => ({ ...thing, cause });
}

function identityOf({ kind, key }: StoredThing): string {
  return `${kind} ${key}`;
}

function totalBytes(things: readonly StoredThing[]): number {
  return things.reduce((sum, { bytes }) => sum + bytes, 0);
}

function leastRecentlyUsedFirst(things: readonly StoredThing[]): readonly StoredThing[] {
  return things.toSorted((a, b) => a.lastUsedAt - b.lastUsedAt);
}

function byProject(things: readonly StoredThing[]): ReadonlyMap<string, readonly StoredThing[]> {
  return Map.groupBy(things, ({ project }) => project ?? "");
}
