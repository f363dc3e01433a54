/**
 * Holds: the place of a failed attempt, its workspace and a cgroup with its limits, kept for people.
 *
 * A hold is on record in a file of the project, so that the next agent goes on with it, or ends it if
 * its cgroup is gone. The service manager ends the cgroup in time by itself.
 *
 * @module
 */
import * as v from "valibot";
import { raceAbort } from "@lib/core/abort.ts";
import { Backoff } from "@lib/core/backoff.ts";
import type { Clock } from "@lib/core/clock.ts";
import { ignore, messageOf } from "@lib/core/errors.ts";
import { parseJobId, type ProjectName } from "@lib/core/ids.ts";
import type { Logger } from "@lib/core/logger.ts";
import { filesIn, readIfThereSync, writeAtomicSync } from "@lib/foundations/files/records.ts";
import { holdMs } from "@lib/spine/attempts/hold_time.ts";
import { fieldsOf, keyOf } from "@lib/spine/attempts/known_attempt.ts";
import { type AttemptRef, holdFile, holdsPath } from "@lib/spine/jobs/attempt_directory.ts";
import type { AttemptHandle, Executor, HeldPlace } from "@lib/spine/jobs/executor.ts";
import type { AttemptOutcome } from "@lib/spine/jobs/model.ts";

/** Options for {@linkcode Holds}. */
export interface HoldsOptions {
  readonly project: ProjectName;
  readonly stateDir: string;
  readonly bootId: string;
  readonly executor: Pick<Executor, "hold" | "notHeld" | "holdGone" | "endHold">;
  /** The longest hold. */
  readonly holdMaxMs: () => number;
  /** Ends what people have begun in the place of an attempt, where no service manager does. */
  readonly onHoldEnded: (ref: AttemptRef) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Holds of a project at once; the oldest one ends for the next. */
const MAX_HOLDS = 16;

const recordSchema = v.object({
  until: v.number(),
  bootId: v.string(),
  inContainer: v.optional(v.boolean(), false),
});

/** A hold. */
export interface Hold {
  readonly ref: AttemptRef;
  /** 0 if nothing of it can be left. */
  readonly until: number;
}

/** A hold that an earlier agent has left. */
export interface FoundHold extends Hold {
  readonly inContainer: boolean;
}

interface Held {
  readonly inContainer: boolean;
  readonly released: AbortController;
  readonly over: PromiseWithResolvers<void>;
}

/** The holds of a project. */
export class Holds {
  readonly #options: HoldsOptions;
  /** The oldest first. */
  readonly #held = new Map<string, Held>();

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** Number of attempts that are held. */
  get size(): number {
    return this.#held.size;
  }

  /** Lists the holds that an earlier agent has left, those first that end first. */
  found(): readonly FoundHold[] {
    const { stateDir, project, bootId } = this.#options;
    return filesIn(holdsPath(stateDir, project)).flatMap((name) => {
      const [id = "", number = ""] = name.split(".");
      const jobId = parseJobId(id);
      if (jobId === undefined || !/^[1-9]\d{0,5}$/.test(number)) return [];
      const ref = { project, jobId, number: Number(number) };
      const record = parseRecord(readIfThereSync(holdFile(stateDir, ref)));
      const until = record?.bootId === bootId ? record.until : 0;
      return [{ ref, until, inContainer: record?.inContainer ?? true }];
    }).sort((a, b) => a.until - b.until);
  }

  /** Holds an attempt that has failed, if its spec asks for it; its outcome tells. */
  async begin(
    handle: AttemptHandle,
    outcome: AttemptOutcome,
    signal: AbortSignal,
  ): Promise<AttemptOutcome> {
    const { executor, holdMaxMs, stateDir, project, bootId, clock, log } = this.#options;
    const ms = holdMs(handle, outcome, holdMaxMs());
    if (ms === 0) {
      executor.notHeld?.(handle);
      return outcome;
    }
    const until = clock.now() + ms;
    const { ref, spec } = handle;
    const inContainer = spec.container !== undefined;
    try {
      Deno.mkdirSync(holdsPath(stateDir, project), { recursive: true, mode: 0o700 });
      // First: whatever comes next, the next agent looks after it.
      writeAtomicSync(holdFile(stateDir, ref), JSON.stringify({ until, bootId, inContainer }));
      await executor.hold?.(handle, until, signal);
    } catch (error) {
      signal.throwIfAborted();
      // The manager may have begun it, and only its answer be lost.
      if (inContainer) executor.notHeld?.(handle);
      else {
        await executor.endHold?.({ ...ref, inContainer }, signal)
          .catch(ignore("it ends in time by itself"));
      }
      this.#forget(ref);
      log.warning("Cannot hold an attempt", { ...fieldsOf(ref), error });
      return { ...outcome, message: `${outcome.message}; it is not held: ${messageOf(error)}` };
    }
    this.take(ref, inContainer);
    log.info("An attempt is held", { ...fieldsOf(ref), seconds: Math.round(ms / 1_000) });
    return { ...outcome, heldUntil: until };
  }

  /** Counts a hold, which {@linkcode Holds.end} ends. */
  take(ref: AttemptRef, inContainer = false): void {
    const lasting = [...this.#held.values()].filter(({ released }) => !released.signal.aborted);
    if (lasting.length >= MAX_HOLDS) lasting[0]?.released.abort(REPLACED);
    this.#held.set(keyOf(ref), {
      inContainer,
      released: new AbortController(),
      over: Promise.withResolvers(),
    });
  }

  /**
   * Resolves when a hold is over and nothing of it is left but its workspace, which `release` frees.
   *
   * @throws The signal's reason; the next agent goes on with the hold.
   */
  async end(
    { ref, until }: Hold,
    release: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { onHoldEnded, log } = this.#options;
    const held = this.#held.get(keyOf(ref));
    if (held === undefined) return;
    const place = { ...ref, inContainer: held.inContainer };
    const why = await this.#wait(place, until, AbortSignal.any([signal, held.released.signal]));
    signal.throwIfAborted();
    const level = why === "lost" ? "warning" : "info";
    log[level](why === "lost" ? "A hold is lost" : "A hold ends", { ...fieldsOf(ref), why });
    try {
      await onHoldEnded(ref);
    } catch (error) {
      signal.throwIfAborted();
      log.warning("Cannot end what was begun in a hold", { ...fieldsOf(ref), error });
    }
    await this.#endPlace(place, signal);
    release();
    this.#forget(ref);
    this.#held.delete(keyOf(ref));
    held.over.resolve();
  }

  /** Ends a hold at once; returns `false` if there is none. */
  async release(ref: AttemptRef, signal: AbortSignal): Promise<boolean> {
    const held = this.#held.get(keyOf(ref));
    if (held === undefined) return false;
    held.released.abort(RELEASED);
    await raceAbort(held.over.promise, signal);
    return true;
  }

  /** @param either Aborts when the agent stops, too. */
  async #wait(place: HeldPlace, until: number, either: AbortSignal): Promise<string> {
    const { executor, clock } = this.#options;
    if (until === 0) return "lost";
    const over = new AbortController();
    const signal = AbortSignal.any([either, over.signal]);
    const expired = clock.sleep(Math.max(0, until - clock.now()), { signal })
      .then(() => "expired");
    const gone = executor.holdGone?.(place, signal)
      .then(() => clock.now() < until - EARLY_MS ? "lost" : "expired");
    try {
      return await Promise.race([expired, ...(gone === undefined ? [] : [gone])]);
    } catch (error) {
      if (!either.aborted) throw error;
      return either.reason === RELEASED ? "released" : "replaced by a newer one";
    } finally {
      void expired.catch(ignore("it is over"));
      void gone?.catch(ignore("it is over"));
      over.abort(RELEASED);
    }
  }

  /** Tries until the service manager has heard. */
  async #endPlace(place: HeldPlace, signal: AbortSignal): Promise<void> {
    const { executor, clock, log } = this.#options;
    const backoff = new Backoff({ firstMs: 100, maxMs: 60_000 });
    while (true) {
      try {
        return await executor.endHold?.(place, signal);
      } catch (error) {
        signal.throwIfAborted();
        log.warning("Cannot end a hold yet; trying again", { ...fieldsOf(place), error });
        await clock.sleep(backoff.next(), { signal });
      }
    }
  }

  #forget(ref: AttemptRef): void {
    const { stateDir, log } = this.#options;
    try {
      Deno.removeSync(holdFile(stateDir, ref));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      log.warning("Cannot remove the record of a hold", { ...fieldsOf(ref), error });
    }
  }
}

/** The service manager's clock and ours may differ by as much. */
const EARLY_MS = 2_000;

const RELEASED = new DOMException("The hold is released", "AbortError");
const REPLACED = new DOMException("A newer hold takes its place", "AbortError");

function parseRecord(text: string | undefined) {
  try {
    return v.parse(recordSchema, JSON.parse(text ?? ""));
  } catch {
    // A power cut, or a job, damaged it: nothing is known of it.
    return undefined;
  }
}
