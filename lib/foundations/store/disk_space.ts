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
 * Symbolic links are counted, not followed. Missing and unreadable paths count as 0.
 */
export async function treeBytes(path: string, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const info = await unlessGone(() => Deno.lstat(path));
  if (info === undefined) return 0;
  const own = info.blocks === null ? info.size : info.blocks * 512;
  if (!info.isDirectory) return Math.ceil(own / (info.nlink ?? 1));
  let bytes = own;
  for (const { name } of await unlessGone(() => Array.fromAsync(Deno.readDir(path))) ?? []) {
    bytes += await treeBytes(`${path}/${name}`, signal);
  }
  return bytes;
}

async function unlessGone<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    const { NotFound, NotADirectory, PermissionDenied } = Deno.errors;
    if ([NotFound, NotADirectory, PermissionDenied].some((kind) => error instanceof kind)) return;
    throw error;
  }
}
