/**
 * Packing the paths of a cache, and unpacking them into a workspace.
 *
 * `tar` does the work, in a process of its own. It never sees a workspace that it is to write to: it
 * unpacks into an empty directory, and from there the paths are moved to their place without
 * following a link that the checkout brought.
 *
 * @module
 */
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
import type { Packing } from "@lib/features/caches/cache_store.ts";

/** Runs `tar`. */
export interface Archiver {
  readonly run: RunCommand;
  /** Where `tar` and `zstd` are found, and nothing else. */
  readonly env: Readonly<Record<string, string>>;
  readonly packing: Packing;
}

/** Packing may take so long, in milliseconds. */
const TIMEOUT_MS = 15 * 60_000;

/** What there is to pack. */
export interface CacheContent {
  /** Those of the paths under which something is; no link leads to them. */
  readonly paths: readonly string[];
  /** Sizes of the files together, as they are without packing. */
  readonly bytes: number;
}

/** Looks for what is to be packed. */
export async function measure(
  workspace: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<CacheContent> {
  using top = openDirectory(workspace);
  // Paths are plain, and no globs.
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
 * Packs paths of a workspace in which nothing lives any more. Links are packed as links.
 *
 * @throws {CicdError} `io_failed` if not everything could be packed.
 */
export async function pack(
  { run, env, packing }: Archiver,
  { workspace, paths, archive }: {
    readonly workspace: string;
    readonly paths: readonly string[];
    readonly archive: string;
  },
  signal: AbortSignal,
): Promise<void> {
  const { code } = await run([
    "tar",
    "--create",
    `--file=${archive}`,
    ...flagsOf(packing),
    `--directory=${workspace}`,
    "--",
    ...paths.map((path) => `./${path.replace(/\/$/, "")}`),
  ], { env, signal, timeoutMs: TIMEOUT_MS, maxBytes: 4_096 });
  if (code === 0) return;
  throw new CicdError(
    "io_failed",
    `tar ended with code ${code}; a file could not be read, or the disk is full`,
  );
}

/**
 * Unpacks an archive into `stage`, an empty directory beside the workspace, and moves the paths
 * from there. What the checkout brought stays as it is.
 *
 * @throws {CicdError} `io_failed` if the archive is damaged.
 */
export async function unpack(
  { run, env, packing }: Archiver,
  { archive, stage, workspace, paths }: {
    readonly archive: string;
    readonly stage: string;
    readonly workspace: string;
    readonly paths: readonly string[];
  },
  signal: AbortSignal,
): Promise<void> {
  const { code } = await run([
    "tar",
    "--extract",
    `--file=${archive}`,
    ...flagsOf(packing),
    `--directory=${stage}`,
    "--no-same-owner",
    "--no-same-permissions",
  ], { env, signal, timeoutMs: TIMEOUT_MS, maxBytes: 4_096 });
  if (code !== 0) throw new CicdError("io_failed", `tar ended with code ${code}`);
  using from = openDirectory(stage);
  using to = openDirectory(workspace);
  for (const path of paths) {
    signal.throwIfAborted();
    movePath(from, to, path);
  }
}

function flagsOf(packing: Packing): readonly string[] {
  return packing === "zstd" ? ["--zstd"] : [];
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

/** Moves an entry to where nothing is; of two directories, each entry. */
function move(from: Directory, to: Directory, name: string): void {
  const there = to.look(name);
  // A name that is not UTF-8 cannot be looked up; it stays behind.
  if (from.look(name) === undefined) return;
  if (there === undefined) return to.take(name, from);
  if (there !== "directory" || from.look(name) !== "directory") return;
  using source = from.directory(name);
  using target = to.directory(name);
  for (const entry of source.entries()) move(source, target, entry.name);
}
