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

/** Something that globs take. */
export interface Found {
  /** Below the top directory, with slashes. */
  readonly path: string;
  readonly name: string;
  /** `directory` only for one that could not be entered; see {@linkcode Found.problem}. */
  readonly kind: EntryKind;
  /** Holds it; open until the next one is asked for. */
  readonly directory: Directory;
  /** Numbers of the patterns that take it. */
  readonly takenBy: ReadonlySet<number>;
  /** Why it cannot be had. */
  readonly problem?: string;
}

/** Directories within one another; a tree that is deeper was made to be so. */
const MAX_DEPTH = 100;
/** Entries between two turns of the event loop. */
const TURN = 512;

/**
 * Finds what the globs take, directory by directory, in the order of names.
 *
 * Directories are entered, and yielded only if they cannot be. Every descriptor is closed when the
 * iteration ends.
 *
 * @throws {CicdError} `io_failed` if the top directory has more entries than can be looked through.
 */
export async function* walk(
  top: Directory,
  globs: GlobSet,
  signal: AbortSignal,
): AsyncGenerator<Found, void, undefined> {
  if (top.isHuge()) {
    throw new CicdError("io_failed", `Cannot look through "${top.path}": it has too many entries`);
  }
  const count = { entries: 0 };
  yield* walkDirectory(
    { directory: top, prefix: "", state: globs.root, depth: 0 },
    globs,
    count,
    signal,
  );
}

interface Place {
  readonly directory: Directory;
  readonly prefix: string;
  readonly state: GlobState;
  readonly depth: number;
}

async function* walkDirectory(
  { directory, prefix, state, depth }: Place,
  globs: GlobSet,
  count: { entries: number },
  signal: AbortSignal,
): AsyncGenerator<Found, void, undefined> {
  const entries = directory.entries().toSorted((a, b) => a.name < b.name ? -1 : 1);
  for (const { name, kind } of entries) {
    if (++count.entries % TURN === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    signal.throwIfAborted();
    const own = globs.enter(state, name);
    if (own.isExcluded) continue;
    const isTaken = own.takenBy.size > 0;
    const found = { path: `${prefix}${name}`, name, kind, directory, takenBy: own.takenBy };
    if (kind !== "directory") {
      if (isTaken) yield found;
      continue;
    }
    if (!own.mayGoOn) continue;
    if (depth >= MAX_DEPTH) {
      if (isTaken) yield { ...found, problem: `lies more than ${MAX_DEPTH} directories deep` };
      continue;
    }
    const entered = enter(directory, name);
    if (typeof entered === "string") {
      if (isTaken) yield { ...found, problem: entered };
      continue;
    }
    using inner = entered;
    const place = { directory: inner, prefix: `${found.path}/`, state: own, depth: depth + 1 };
    yield* walkDirectory(place, globs, count, signal);
  }
}

/** The directory, or why it cannot be entered. */
function enter(directory: Directory, name: string): Directory | string {
  try {
    const inner = directory.directory(name);
    if (!inner.isHuge()) return inner;
    inner[Symbol.dispose]();
    return "has too many entries";
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return "may not be read";
    if (error instanceof Deno.errors.NotFound || error instanceof NotADirectoryError) {
      return "is no longer there";
    }
    throw error;
  }
}
