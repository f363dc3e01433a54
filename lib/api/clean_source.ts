/**
 * The port behind which a feature finds and removes what its jobs leave on the machine.
 *
 * @module
 */

/** Kinds of things that cleaning removes. */
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

/** Something on the machine that could be removed. */
export interface StoredThing {
  readonly kind: CleanKind;
  /** Identifies it to the source that found it: a path, or an id. */
  readonly key: string;
  /** Identifies it to people. */
  readonly name: string;
  readonly project?: string;
  /** Allocated bytes. */
  readonly bytes: number;
  /** Bytes that its removal frees where the state directory lies. @default {bytes} */
  readonly freedBytes?: number;
  /** Of an ended job: bytes of its logs, as recorded. */
  readonly logBytes?: number;
  /** Milliseconds since the epoch. */
  readonly lastUsedAt: number;
  /** A job under way needs it, so it stays whatever the limits say. */
  readonly inUse: boolean;
}

/** Limits of a kind of thing. */
export interface KeepLimits {
  /** Since its last use. */
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  /** Whether `maxBytes` holds for each project, not for all together. @default {false} */
  readonly perProject?: boolean;
}

/** Limits by kind. */
export type KeepByKind = Readonly<Partial<Record<CleanKind, KeepLimits>>>;

/** The outcome of a removal. */
export type RemovalResult =
  | { readonly kind: "removed" }
  /** It is needed again, or belongs to someone else by now; it stays. */
  | { readonly kind: "kept"; readonly why: string };

/** The outcome of a removal that succeeded. */
export const REMOVED: RemovalResult = { kind: "removed" };

/** What a source has found. */
export interface Finding {
  readonly things: readonly StoredThing[];
  /** What could not be looked at, one sentence each. */
  readonly skipped?: readonly string[];
}

/**
 * Finds and removes things of its kinds.
 *
 * Contract:
 *
 * - Making a source opens nothing; `find` opens what it needs, at most once until `close`.
 * - `find` changes nothing. It is not called while the runner is idle with enough disk free.
 * - `remove` is called with something that `find` has returned, some time later, by one caller at a
 *   time. It checks again that the thing may go. A thing that is gone already counts as removed.
 * - Both reject with `signal.reason` when `signal` aborts; other failures concern this one thing or
 *   source.
 * - `close` ends a cleaning; a later one begins with `find` again.
 */
export interface CleanSource {
  readonly kinds: readonly CleanKind[];
  /** Limits now; things of a kind without any are wanted by nobody and always go. */
  readonly keep?: () => KeepByKind;
  find(signal: AbortSignal): Promise<Finding>;
  remove(thing: StoredThing, signal: AbortSignal): Promise<RemovalResult>;
  close?(): void;
}
