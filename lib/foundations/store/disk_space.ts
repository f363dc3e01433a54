/**
 * Disk space: what is free, and what a directory takes.
 *
 * @module
 */
import { statfsSync } from "node:fs";

/** A file system as an ordinary user sees it. */
export interface DiskSpace {
  /** Bytes that may still be written. */
  readonly freeBytes: number;
  /** Bytes that all its files take. */
  readonly usedBytes: number;
}

/** Measures the file system below `path`. */
export function diskSpace(path: string): DiskSpace {
  const { bavail, bfree, blocks, bsize } = statfsSync(path);
  return { freeBytes: bavail * bsize, usedBytes: (blocks - bfree) * bsize };
}

/**
 * Sums up the blocks of a file, or of a directory and all that is in it.
 *
 * A file with several names counts by its share, as removing one of them frees nothing. Symbolic
 * links are counted, not followed. What vanishes meanwhile, or may not be read, counts nothing; so
 * does a path that is not there.
 */
export async function treeBytes(path: string, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const info = await unlessGone(() => Deno.lstat(path));
  if (info === undefined) return 0;
  const own = info.blocks === null ? info.size : info.blocks * 512;
  if (!info.isDirectory) return Math.ceil(own / (info.nlink ?? 1));
  let bytes = own;
  for (const name of await unlessGone(() => namesIn(path)) ?? []) {
    bytes += await treeBytes(`${path}/${name}`, signal);
  }
  return bytes;
}

async function namesIn(path: string): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(path)) names.push(name);
  return names;
}

async function unlessGone<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    if (error instanceof Deno.errors.PermissionDenied) return undefined;
    throw error;
  }
}
