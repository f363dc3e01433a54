/**
 * Disk space: free, used, and used by a directory.
 *
 * @module
 */
import { statfsSync } from "node:fs";

/** The space of a file system for an ordinary user. */
export interface DiskSpace {
  /** Bytes that may still be written. */
  readonly freeBytes: number;
  /** Bytes used by all its files. */
  readonly usedBytes: number;
}

/** Measures the file system of `path`. */
export function diskSpace(path: string): DiskSpace {
  const { bavail, bfree, blocks, bsize } = statfsSync(path);
  return { freeBytes: bavail * bsize, usedBytes: (blocks - bfree) * bsize };
}

/**
 * Sums up the blocks of a file, or of a directory and its content.
 *
 * A file with several hard links counts by its share, as removing one of them frees nothing.
 * Symbolic links are counted, not followed. Missing and unreadable paths count as 0, as does what
 * lies deeper than the longest path (4,096 bytes).
 */
export async function treeBytes(path: string, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  const pending = [path];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    signal.throwIfAborted();
    const here = at;
    const info = await unlessGone(() => Deno.lstat(here));
    if (info === undefined) continue;
    const own = info.blocks === null ? info.size : info.blocks * 512;
    bytes += info.isDirectory ? own : Math.ceil(own / (info.nlink ?? 1));
    if (!info.isDirectory) continue;
    const entries = await unlessGone(() => Array.fromAsync(Deno.readDir(here))) ?? [];
    for (const { name } of entries) pending.push(`${here}/${name}`);
  }
  return bytes;
}

async function unlessGone<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    const { NotFound, NotADirectory, PermissionDenied } = Deno.errors;
    if ([NotFound, NotADirectory, PermissionDenied].some((kind) => error instanceof kind)) return;
    if (error instanceof Error && "code" in error && error.code === "ENAMETOOLONG") return;
    throw error;
  }
}
