/**
 * The content of a cache: its key, packing it, and unpacking it into a workspace.
 *
 * `tar` does the work, in a process of its own. It never writes to a workspace: it unpacks into an
 * empty directory, from which the paths are moved to their place without following a symlink of the
 * checkout.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CicdError } from "@lib/core/errors.ts";
import {
  type Directory,
  NotADirectoryError,
  openDirectory,
} from "@lib/foundations/files/directory.ts";
import { compileGlobs } from "@lib/foundations/files/glob.ts";
import { openParent } from "@lib/foundations/files/inside.ts";
import { walk } from "@lib/foundations/files/walk.ts";
import type { RunCommand } from "@lib/foundations/process/run_command.ts";
import type { CacheSpec } from "@lib/spine/spec/job_spec.ts";
import type { Packing } from "@lib/features/caches/cache_store.ts";

/** The means to run `tar`. */
export interface Archiver {
  readonly run: RunCommand;
  /** Holds `PATH`, for `tar` and `zstd`, and nothing else. */
  readonly env: Readonly<Record<string, string>>;
  readonly packing: Packing;
}

/** Deadline of packing. */
const TIMEOUT_MS = 15 * 60_000;

/** Changes when earlier archives can no longer be used. */
const KEY_VERSION = 1;

/**
 * Computes the key from the cache's name and paths and the key files: their paths below the
 * workspace and their content. Symlinks are not followed and do not count.
 *
 * @returns The key, a SHA-256 in hex, and the number of key files found.
 */
export async function cacheKey(
  { name, paths, keyFiles }: CacheSpec,
  workspace: string,
  signal: AbortSignal,
) {
  const hash = createHash("sha256").update(JSON.stringify([KEY_VERSION, name, paths.toSorted()]));
  let files = 0;
  if (keyFiles.length > 0) {
    using top = openDirectory(workspace);
    for await (const found of walk(top, compileGlobs(keyFiles), signal)) {
      if (found.kind !== "file") continue;
      using file = found.directory.file(found.name);
      if (file === undefined) continue;
      hash.update(JSON.stringify([found.path, await file.sha256(signal)]));
      files++;
    }
  }
  return { key: hash.digest("hex"), files };
}

/**
 * Measures the files to pack.
 *
 * @returns The paths under which something is, none through a symlink, and the unpacked size.
 */
export async function measure(workspace: string, paths: readonly string[], signal: AbortSignal) {
  using top = openDirectory(workspace);
  // Paths are plain, not globs.
  const globs = compileGlobs(paths.map((path) => `./${path.replaceAll("\\", "\\\\")}`));
  const used = new Set<number>();
  let bytes = 0;
  for await (const { directory, name, takenBy } of walk(top, globs, signal)) {
    for (const number of takenBy) used.add(number);
    bytes += directory.stat(name)?.size ?? 0;
  }
  return { paths: paths.filter((_, index) => used.has(index)), bytes };
}

/**
 * Packs paths of a workspace that nothing writes to any more. Symlinks are packed as symlinks.
 *
 * @throws {CicdError} `io_failed` if not everything could be packed.
 */
export async function pack(
  archiver: Archiver,
  { workspace, paths, archive }: {
    readonly workspace: string;
    readonly paths: readonly string[];
    readonly archive: string;
  },
  signal: AbortSignal,
): Promise<void> {
  const relative = paths.map((path) => `./${path.replace(/\/$/, "")}`);
  const args = ["--create", `--file=${archive}`, `--directory=${workspace}`, "--", ...relative];
  const code = await tar(archiver, args, signal);
  if (code === 0) return;
  throw new CicdError(
    "io_failed",
    `tar ended with code ${code}; a file could not be read, or the disk is full`,
  );
}

/**
 * Unpacks an archive into `stage`, an empty directory beside the workspace, and moves the paths from
 * there. Files of the checkout stay as they are.
 *
 * @throws {CicdError} `io_failed` if the archive is damaged.
 */
export async function unpack(
  archiver: Archiver,
  { archive, stage, workspace, paths }: {
    readonly archive: string;
    readonly stage: string;
    readonly workspace: string;
    readonly paths: readonly string[];
  },
  signal: AbortSignal,
): Promise<void> {
  const own = ["--no-same-owner", "--no-same-permissions"];
  const args = ["--extract", `--file=${archive}`, `--directory=${stage}`, ...own];
  const code = await tar(archiver, args, signal);
  if (code !== 0) throw new CicdError("io_failed", `tar ended with code ${code}`);
  using from = openDirectory(stage);
  using to = openDirectory(workspace);
  for (const path of paths) {
    signal.throwIfAborted();
    movePath(from, to, path);
  }
}

async function tar(
  { run, env, packing }: Archiver,
  args: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  const argv = ["tar", ...(packing === "zstd" ? ["--zstd"] : []), ...args];
  return (await run(argv, { env, signal, timeoutMs: TIMEOUT_MS, maxBytes: 4_096 })).code;
}

function movePath(from: Directory, to: Directory, path: string): void {
  using source = existingParent(from, path);
  if (source === undefined) return;
  const name = path.replace(/\/$/, "").split("/").at(-1) ?? "";
  if (source.look(name) === undefined) return;
  using target = openParent(to, path).directory;
  move(source, target, name);
}

function existingParent(top: Directory, path: string): Directory | undefined {
  let directory = top.again();
  for (const part of path.replace(/\/$/, "").split("/").slice(0, -1)) {
    using outer = directory;
    try {
      directory = outer.directory(part);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof NotADirectoryError) {
        return undefined;
      }
      throw error;
    }
  }
  return directory;
}

/** Moves an entry unless its place is taken; of two directories, moves each entry. */
function move(from: Directory, to: Directory, name: string): void {
  const there = to.look(name);
  // A name that is not UTF-8 cannot be looked up; it is not moved.
  if (from.look(name) === undefined) return;
  if (there === undefined) return to.take(name, from);
  if (there !== "directory" || from.look(name) !== "directory") return;
  using source = from.directory(name);
  using target = to.directory(name);
  for (const entry of source.entries()) move(source, target, entry.name);
}
