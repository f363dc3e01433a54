/**
 * Walking a tree with globs, without following links.
 *
 * @module
 */
import { CicdError } from "@lib/core/errors.ts";
import {
  type Directory,
  type EntryKind,
  NotADirectoryError,
} from "@lib/foundations/files/directory.ts";
import type { GlobSet, GlobState } from "@lib/foundations/files/glob.ts";

/** A match of the globs. */
export interface Found {
  /** Below the top directory, with slashes. */
  readonly path: string;
  readonly name: string;
  /** `directory` only for one that cannot be entered; see {@linkcode Found.problem}. */
  readonly kind: EntryKind;
  /** Its parent; open until the next match is requested. */
  readonly directory: Directory;
  /** Numbers of the patterns that match it. */
  readonly takenBy: ReadonlySet<number>;
  /** The reason why it cannot be entered. */
  readonly problem?: string;
}

/** Deepest nesting of directories; only a malicious tree is deeper. */
const MAX_DEPTH = 100;
/** Entries between two yields to the event loop. */
const TURN = 512;

/**
 * Finds what the globs match, directory by directory, in the order of names.
 *
 * Yields a directory only if it cannot be entered. Closes every descriptor when the iteration ends.
 *
 * @throws {CicdError} `io_failed` if the top directory has too many entries.
 */
export function walk(
  top: Directory,
  globs: GlobSet,
  signal: AbortSignal,
): AsyncGenerator<Found, void, undefined> {
  if (top.isHuge()) {
    throw new CicdError("io_failed", `Cannot search "${top.path}": it has too many entries`);
  }
  const search = { globs, signal, entries: 0 };
  return walkDirectory({ directory: top, prefix: "", state: globs.root, depth: 0 }, search);
}

interface Place {
  readonly directory: Directory;
  readonly prefix: string;
  readonly state: GlobState;
  readonly depth: number;
}

async function* walkDirectory(
  { directory, prefix, state, depth }: Place,
  search: { readonly globs: GlobSet; readonly signal: AbortSignal; entries: number },
): AsyncGenerator<Found, void, undefined> {
  const entries = directory.entries().toSorted((a, b) => a.name < b.name ? -1 : 1);
  for (const { name, kind } of entries) {
    if (++search.entries % TURN === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    search.signal.throwIfAborted();
    const own = search.globs.enter(state, name);
    if (own.isExcluded) continue;
    const isTaken = own.takenBy.size > 0;
    const found = { path: `${prefix}${name}`, name, kind, directory, takenBy: own.takenBy };
    if (kind !== "directory") {
      if (isTaken) yield found;
      continue;
    }
    if (!own.mayGoOn) continue;
    if (depth >= MAX_DEPTH) {
      if (isTaken) yield { ...found, problem: `is more than ${MAX_DEPTH} directories deep` };
      continue;
    }
    const entered = enter(directory, name);
    if (typeof entered === "string") {
      if (isTaken) yield { ...found, problem: entered };
      continue;
    }
    using inner = entered;
    const place = { directory: inner, prefix: `${found.path}/`, state: own, depth: depth + 1 };
    yield* walkDirectory(place, search);
  }
}

/** Opens a directory, or returns the reason why it cannot be entered. */
function enter(directory: Directory, name: string): Directory | string {
  try {
    const inner = directory.directory(name);
    if (!inner.isHuge()) return inner;
    inner[Symbol.dispose]();
    return "has too many entries";
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return "is not readable";
    if (error instanceof Deno.errors.NotFound || error instanceof NotADirectoryError) {
      return "no longer exists";
    }
    throw error;
  }
}
