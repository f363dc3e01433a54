/**
 * Finds, plans and removes.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import type { ErrorCode } from "@lib/core/error_codes.ts";
import type { JobId } from "@lib/core/ids.ts";
import { messageOf, toCicdError } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import { formatSize } from "@lib/core/size.ts";
import { type DiskSpace, diskSpace } from "@lib/foundations/store/disk_space.ts";
import { removeJobTree } from "@lib/spine/attempts/remove_job_tree.ts";
import { readRemains, type RemainsList } from "@lib/spine/jobs/remains.ts";
import type { JobStore } from "@lib/spine/queue/job_store.ts";
import type { CleanSource, KeepByKind, RemovalResult, StoredThing } from "@lib/api/clean_source.ts";
import {
  type History,
  jobHistory,
  leftoverSource,
  orphanSource,
  temporarySource,
  workspaceSource,
} from "@lib/features/cleaning/own_sources.ts";
import {
  costRank,
  type HistoryLimits,
  planCleaning,
  type PlannedRemoval,
} from "@lib/features/cleaning/plan.ts";

/** A chosen thing, and the outcome of its removal. */
export interface CleanedItem extends PlannedRemoval {
  readonly outcome: "planned" | "removed" | "kept" | "failed";
  /** Why it was kept, or could not be removed. */
  readonly detail?: string;
  /** The code of a failure. */
  readonly code?: ErrorCode;
}

/** A cleaning, or a plan of one. */
export interface CleanReport {
  readonly dryRun: boolean;
  readonly items: readonly CleanedItem[];
  /** Things that were not examined or not removed, one sentence each. */
  readonly skipped: readonly string[];
  readonly freeBytesBefore: number;
  readonly freeBytesAfter: number;
  /** Things that resist removal, also from earlier tries, by an agent too. */
  readonly remains: RemainsList;
}

/** A request to clean. */
export interface CleanRequest {
  readonly dryRun: boolean;
  /**
   * - `all`: everything.
   * - `history`: ended jobs; below the floor also other things, as far as needed.
   * - `background`: as `history`, with as little I/O as possible.
   */
  readonly scope: "all" | "history" | "background";
}

/** Cleans. @throws The signal's reason; what was removed by then stays removed. */
export type Clean = (request: CleanRequest, signal: AbortSignal) => Promise<CleanReport>;

/** Options for {@linkcode Cleaner}. */
export interface CleanerOptions {
  readonly history: History;
  /** Finds the remains of interrupted removals of ended jobs. */
  readonly orphans: CleanSource;
  readonly sources: readonly CleanSource[];
  readonly limits: () => HistoryLimits;
  /** Measures the file system of the state directory. */
  readonly disk: () => DiskSpace;
  readonly remains: () => Promise<RemainsList>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Options for {@linkcode openCleaner}; the sources are those of other features. */
interface OpenCleanerOptions extends Pick<CleanerOptions, "sources" | "limits" | "clock" | "log"> {
  readonly store: JobStore;
  readonly stateDir: string;
  readonly runtimeDir: string;
  /** Removes what jobs made as other users. */
  readonly removeForeign: (path: string, signal: AbortSignal) => Promise<void>;
}

/** Returns the cleaner of a runner. */
export function openCleaner(options: OpenCleanerOptions): Cleaner {
  const { store, stateDir, runtimeDir, removeForeign, limits, clock, log } = options;
  const now = () => clock.now();
  const removeTree = async (path: string, signal: AbortSignal) =>
    await removeJobTree(path, { stateDir, executor: { removeForeign }, clock, signal });
  const own = { store, stateDir, removeTree, read: (id: JobId) => store.get(id), now };
  return new Cleaner({
    history: jobHistory(own),
    orphans: orphanSource({ ...own, maxAgeMs: () => limits().maxAgeMs }),
    sources: [
      workspaceSource(own),
      leftoverSource(own),
      temporarySource({ ...own, runtimeDir }),
      ...options.sources,
    ],
    limits,
    disk: () => diskSpace(stateDir),
    remains: () => readRemains(stateDir),
    clock,
    log,
  });
}

/** The things found, each with its source. */
type Found = ReadonlyMap<StoredThing, CleanSource>;

/** Cleans, one cleaning at a time. */
export class Cleaner {
  readonly #options: CleanerOptions;
  #last: Promise<unknown> = Promise.resolve();
  /** Orphans come from a crash, or from a failed removal. */
  #orphansDue = true;

  constructor(options: CleanerOptions) {
    this.#options = options;
  }

  /**
   * Removes orphans and everything beyond its limits; in a dry run, plans it.
   *
   * Continues after single failures; each is in the report.
   */
  readonly clean: Clean = async (request, signal) => {
    const before = this.#last;
    const done = Promise.withResolvers<void>();
    // The next caller waits for both, also if this one stops waiting.
    this.#last = before.then(() => done.promise);
    try {
      await raceAbort(before, signal);
      signal.throwIfAborted();
      return await this.#clean(request, signal);
    } finally {
      done.resolve();
    }
  };

  async #clean({ dryRun, scope }: CleanRequest, signal: AbortSignal): Promise<CleanReport> {
    const { sources, disk, log } = this.#options;
    using closing = new DisposableStack();
    for (const source of sources) closing.defer(() => source.close?.());
    const before = disk();
    const { found, skipped } = await this.#look(scope, before, signal);
    if (!dryRun) this.#orphansDue = false;
    const plan = this.#plan(found, before.freeBytes);
    if (plan.keptHistory !== undefined) {
      const { jobs, bytes } = plan.keptHistory;
      const { minFreeDiskBytes } = this.#options.limits();
      const { missingBytes } = plan;
      skipped.push(
        `Kept ${jobs} ended jobs: removing them would free ${formatSize(bytes)}, but ` +
          `${formatSize(missingBytes)} more are needed to keep ${formatSize(minFreeDiskBytes)} ` +
          "free (retention.min_free_disk)",
      );
      if (!dryRun) {
        log.warning(
          "Kept the ended jobs: removing them would not free enough disk; free some by hand",
          { jobs, bytes, missingBytes, minFreeDiskBytes },
        );
      }
    }
    const sourceOf = new Map(
      [...found].map(([{ kind, key }, source]) => [`${kind} ${key}`, source]),
    );
    const items: CleanedItem[] = [];
    for (const removal of plan.removals) {
      signal.throwIfAborted();
      const source = sourceOf.get(`${removal.kind} ${removal.key}`);
      if (source === undefined) throw new TypeError(`Cannot remove ${removal.key}: no source`);
      items.push(
        dryRun ? { ...removal, outcome: "planned" } : await this.#remove(removal, source, signal),
      );
    }
    const jobs = items.filter(({ kind, outcome }) => kind === "job" && outcome === "removed");
    if (jobs.length > 0) {
      const bytes = jobs.reduce((sum, job) => sum + job.bytes, 0);
      log.info("Removed ended jobs", { count: jobs.length, bytes });
    }
    return {
      dryRun,
      items,
      skipped,
      freeBytesBefore: before.freeBytes,
      freeBytesAfter: disk().freeBytes,
      remains: await this.#options.remains(),
    };
  }

  /** Searches the scope, the cheapest sources first, and for the floor no more than needed. */
  async #look(scope: CleanRequest["scope"], disk: DiskSpace, signal: AbortSignal) {
    const { history, orphans, sources } = this.#options;
    const { minFreeDiskBytes, maxBytes } = this.#options.limits();
    const found = new Map<StoredThing, CleanSource>();
    const skipped: string[] = [];
    // While the disk holds less than the history may, sizes cannot matter.
    const isRoomy = disk.freeBytes >= minFreeDiskBytes && disk.usedBytes <= maxBytes;
    const ended = scope === "background" && isRoomy
      ? await history.list(signal)
      : (await history.find(signal)).things;
    for (const job of ended) found.set(job, history);
    const look = async (source: CleanSource): Promise<void> => {
      try {
        const finding = await source.find(signal);
        for (const thing of finding.things) found.set(thing, source);
        skipped.push(...finding.skipped ?? []);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        skipped.push(`Cannot examine ${source.kinds.join(" and ")}: ${messageOf(error)}`);
      }
    };
    const retries = scope === "background" && (await this.#options.remains()).count > 0;
    if (scope !== "background" || this.#orphansDue || retries) await look(orphans);
    const isEnough = () => scope !== "all" && this.#plan(found, disk.freeBytes).missingBytes === 0;
    for (const source of sources.toSorted((a, b) => costOf(a) - costOf(b))) {
      if ((retries && source.kinds.includes("workspace")) || !isEnough()) await look(source);
    }
    return { found, skipped };
  }

  #plan(found: Found, freeBytes: number) {
    const { sources, limits, clock } = this.#options;
    const keep = sources.reduce<KeepByKind>((all, one) => ({ ...all, ...one.keep?.() }), {});
    const facts = { now: clock.now(), freeBytes, things: [...found.keys()] };
    return planCleaning(facts, { history: limits(), keep });
  }

  async #remove(
    removal: PlannedRemoval,
    source: CleanSource,
    signal: AbortSignal,
  ): Promise<CleanedItem> {
    const { log } = this.#options;
    const { kind, name, project, bytes, cause } = removal;
    const fields = { kind, name, bytes, cause, ...(project === undefined ? {} : { project }) };
    try {
      const result = this.#isNeedless(removal) ?? await source.remove(removal, signal);
      if (result.kind === "kept") {
        log.debug("Kept", { ...fields, why: result.why });
        return { ...removal, outcome: "kept", detail: result.why };
      }
      if (kind === "job") log.debug("Removed", fields);
      else log.info("Removed", fields);
      return { ...removal, outcome: "removed" };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const failure = toCicdError(error);
      log.warning("Cannot remove", { ...fields, error: failure });
      this.#orphansDue = true;
      const { code } = failure;
      return { ...removal, outcome: "failed", detail: messageOf(error), code };
    }
  }

  /** Sizes are estimates where bytes are shared, so the disk itself decides when to stop. */
  #isNeedless({ cause }: PlannedRemoval): RemovalResult | undefined {
    const { disk, limits } = this.#options;
    return cause === "free_disk" && disk().freeBytes >= limits().minFreeDiskBytes
      ? { kind: "kept", why: "enough disk is free by now" }
      : undefined;
  }
}

/** Returns the rank of a source's costliest kind. */
function costOf({ kinds }: CleanSource): number {
  return Math.max(...kinds.map(costRank));
}
