/**
 * The port through which a feature finds and removes what its jobs leave on the machine.
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
  /** A running job needs it, so it stays regardless of the limits. */
  readonly inUse: boolean;
}

/** Limits of a kind of thing. */
export interface KeepLimits {
  /** Since its last use. */
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  /** Applies `maxBytes` to each project instead of all together. @default {false} */
  readonly perProject?: boolean;
}

/** Limits by kind. */
export type KeepByKind = Readonly<Partial<Record<CleanKind, KeepLimits>>>;

/** The outcome of a removal. */
export type RemovalResult =
  | { readonly kind: "removed" }
  /** It stays because it is in use again or has another owner. */
  | { readonly kind: "kept"; readonly why: string };

/** The outcome of a removal that succeeded. */
export const REMOVED: RemovalResult = { kind: "removed" };

/** The things that a source has found. */
export interface Finding {
  readonly things: readonly StoredThing[];
  /** Places that could not be read, one sentence each. */
  readonly skipped?: readonly string[];
}

/**
 * Finds and removes things of its kinds.
 *
 * Contract:
 *
 * - Making a source opens nothing; `find` opens what it needs, at most once until `close`.
 * - `find` changes nothing. It is not called while the runner is idle with enough disk free.
 * - `remove` is called some time later with a result of `find`, by one caller at a time. It checks
 *   again that the thing may be removed. A thing that no longer exists counts as removed.
 * - Both reject with `signal.reason` when `signal` aborts; other failures concern only this thing or
 *   source.
 * - `close` ends a cleaning; the next one starts with `find`.
 */
export interface CleanSource {
  readonly kinds: readonly CleanKind[];
  /** Current limits; things of a kind without limits are always removed. */
  readonly keep?: () => KeepByKind;
  find(signal: AbortSignal): Promise<Finding>;
  remove(thing: StoredThing, signal: AbortSignal): Promise<RemovalResult>;
  close?(): void;
}
