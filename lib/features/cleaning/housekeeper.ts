/**
 * Looks, decides, removes: what `cicd-runner clean` asks for.
 *
 * @module
 */
import { raceAbort } from "@lib/core/abort.ts";
import type { Clock } from "@lib/core/clock.ts";
import { messageOf } from "@lib/core/errors.ts";
import type { Logger } from "@lib/core/logger.ts";
import {
  type CleanKind,
  type HousekeepingFacts,
  type HousekeepingLimits,
  planHousekeeping,
  type PlannedRemoval,
  type StoredThing,
} from "@lib/features/cleaning/plan_housekeeping.ts";
import { type EndedJobs, removeJob } from "@lib/features/cleaning/ended_jobs.ts";
import type { CleanSource, RemovalResult } from "@lib/features/cleaning/source.ts";

/** What came of a removal. */
export type CleanOutcome = "planned" | "removed" | "kept" | "failed";

/** Something that was chosen, and what came of it. */
export interface CleanedItem extends PlannedRemoval {
  readonly outcome: CleanOutcome;
  /** Why it was kept, or could not be removed. */
  readonly detail?: string;
}

/** A cleaning, or what one would do. */
export interface CleanReport {
  readonly dryRun: boolean;
  readonly items: readonly CleanedItem[];
  /** What was not looked at, one sentence each. */
  readonly skipped: readonly string[];
  readonly freeBytesBefore: number;
  readonly freeBytesAfter: number;
}

/** Options for {@linkcode Housekeeper}. */
export interface HousekeeperOptions {
  readonly jobs: EndedJobs;
  /** Opened for one cleaning; what they need is loaded only then. */
  readonly openSources: (signal: AbortSignal) => Promise<OpenSources>;
  readonly limits: () => HousekeepingLimits;
  /** Bytes free where the state folder lies. */
  readonly freeBytes: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The sources of one cleaning. */
export interface OpenSources extends Disposable {
  readonly sources: readonly CleanSource[];
  /** Whether images lie on the disk whose free space is watched. */
  readonly imagesShareDisk: boolean;
  readonly skipped: readonly string[];
}

/** Cleans, one cleaning at a time. */
export class Housekeeper {
  readonly #options: HousekeeperOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: HousekeeperOptions) {
    this.#options = options;
  }

  /**
   * Removes what is left behind or beyond its limits; in a dry run, says what that is.
   *
   * Goes on after single failures; each is in the report.
   *
   * @throws What `signal` aborts with; what was removed until then stays removed.
   */
  async clean(
    options: { readonly dryRun: boolean },
    signal: AbortSignal,
  ): Promise<CleanReport> {
    const before = this.#last;
    const done = Promise.withResolvers<void>();
    // Whoever comes next waits for both, also if this caller gives up waiting.
    this.#last = before.then(() => done.promise);
    try {
      await raceAbort(before, signal);
      signal.throwIfAborted();
      return await this.#clean(options, signal);
    } finally {
      done.resolve();
    }
  }

  async #clean({ dryRun }: { readonly dryRun: boolean }, signal: AbortSignal) {
    const { openSources, limits, freeBytes } = this.#options;
    using open = await openSources(signal);
    const freeBytesBefore = freeBytes();
    const { facts, skipped } = await this.#look(open, freeBytesBefore, signal);
    const items: CleanedItem[] = [];
    for (const removal of planHousekeeping(facts, limits())) {
      signal.throwIfAborted();
      items.push(
        dryRun
          ? { ...removal, outcome: "planned" }
          : await this.#remove(removal, open.sources, signal),
      );
    }
    return {
      dryRun,
      items,
      skipped: [...open.skipped, ...skipped],
      freeBytesBefore,
      freeBytesAfter: freeBytes(),
    };
  }

  async #look(open: OpenSources, freeDiskBytes: number, signal: AbortSignal) {
    const { jobs, clock } = this.#options;
    const things: StoredThing[] = [];
    const skipped: string[] = [];
    for (const source of open.sources) {
      try {
        const found = await source.find(signal);
        things.push(...found.things);
        skipped.push(...found.skipped);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        skipped.push(`Cannot look at ${source.kinds.join(" and ")}: ${messageOf(error)}`);
      }
    }
    const ended = jobs.list();
    const of = (...kinds: readonly CleanKind[]) =>
      things.filter(({ kind }) => kinds.includes(kind));
    const facts: HousekeepingFacts = {
      now: clock.now(),
      freeDiskBytes,
      jobs: ended,
      bytesOf: await jobs.measure(ended, signal),
      caches: of("cache"),
      images: of("image"),
      mirrors: of("mirror"),
      leftovers: of("container", "network", "workspace", "temporary"),
      imagesShareDisk: open.imagesShareDisk,
    };
    return { facts, skipped };
  }

  async #remove(
    removal: PlannedRemoval,
    sources: readonly CleanSource[],
    signal: AbortSignal,
  ): Promise<CleanedItem> {
    const { log } = this.#options;
    const { kind, name, project, bytes, cause } = removal;
    const fields = { kind, name, bytes, cause, ...(project === undefined ? {} : { project }) };
    try {
      const result = await this.#removeOne(removal, sources, signal);
      if (result.kind === "kept") {
        log.debug("Kept what is wanted again", { ...fields, why: result.why });
        return { ...removal, outcome: "kept", detail: result.why };
      }
      log.info("Removed", fields);
      return { ...removal, outcome: "removed" };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      log.warning("Cannot remove", { ...fields, error });
      return { ...removal, outcome: "failed", detail: messageOf(error) };
    }
  }

  #removeOne(
    removal: PlannedRemoval,
    sources: readonly CleanSource[],
    signal: AbortSignal,
  ): Promise<RemovalResult> {
    if (removal.kind === "job") return removeJob(this.#options.jobs, removal);
    const source = sources.find(({ kinds }) => kinds.includes(removal.kind));
    if (source === undefined) throw new TypeError(`Cannot remove ${removal.kind}: nobody found it`);
    return source.remove(removal, signal);
  }
}
