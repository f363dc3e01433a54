/**
 * The port behind which each kind of thing is found and removed.
 *
 * @module
 */
import type {
  CleanKind,
  PlannedRemoval,
  StoredThing,
} from "@lib/features/cleaning/plan_housekeeping.ts";

/** What came of removing something. */
export type RemovalResult =
  | { readonly kind: "removed" }
  /** It is wanted again, or belongs to someone else by now; it stays. */
  | { readonly kind: "kept"; readonly why: string };

/** It is gone. */
export const REMOVED: RemovalResult = { kind: "removed" };

/** What a source has found. */
export interface Finding {
  readonly things: readonly StoredThing[];
  /** What could not be looked at, one sentence each. */
  readonly skipped: readonly string[];
}

/**
 * Finds and removes things.
 *
 * Contract:
 *
 * - `find` changes nothing.
 * - `remove` is called with something that `find` has returned, some time later, by one caller at a
 *   time. It looks again whether it may go. What is gone already counts as removed.
 * - Both reject with `signal.reason` when `signal` aborts; other failures concern this one thing or
 *   source.
 */
export interface CleanSource {
  readonly kinds: readonly CleanKind[];
  find(signal: AbortSignal): Promise<Finding>;
  remove(removal: PlannedRemoval, signal: AbortSignal): Promise<RemovalResult>;
}
