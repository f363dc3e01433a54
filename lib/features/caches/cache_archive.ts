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
import { buildHelperEnv } from "@lib/foundations/process/scrubbed_env.ts";
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

/** Returns a finder of `tar` that looks for `zstd` once. */
export function archiverFinder(
  { run, env: own }: {
    readonly run: RunCommand;
    /** The agent's own environment; only its `PATH` is used. */
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): (signal: AbortSignal) => Promise<Archiver> {
  const env = { ...buildHelperEnv(own, ["PATH"]), ZSTD_CLEVEL: "1" };
  let packing: Archiver["packing"] | undefined;
  return async (signal) => {
    if (packing === undefined) {
      try {
        const { code } = await run(["zstd", "--version"], { env, signal });
        packing = code === 0 ? "zstd" : "none";
      } catch (error) {
        if (signal.aborted) throw error;
        packing = "none";
      }
    }
    return { run, env, packing };
  };
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
 * @returns The paths under which something is, and the space of their content, unpacked.
 * @throws {CicdError} `io_failed` if a path is or leads through a symlink.
 */
export async function measure(workspace: string, paths: readonly string[], signal: AbortSignal) {
  using top = openDirectory(workspace);
  refuseLinks(top, paths);
  // Paths are plain, not globs.
  const globs = compileGlobs(paths.map((path) => `./${path.replaceAll("\\", "\\\\")}`));
  const used = new Set<number>();
  const linked = new Set<string>();
  let bytes = 0;
  for await (const { directory, name, takenBy } of walk(top, globs, signal)) {
    for (const number of takenBy) used.add(number);
    const stat = directory.stat(name);
    if (stat === undefined) continue;
    if ((stat.nlink ?? 1) > 1 && !stat.isDirectory) {
      const id = `${stat.dev}:${stat.ino}`;
      if (linked.has(id)) continue;
      linked.add(id);
    }
    // Holes are not packed.
    bytes += Math.min(stat.size, (stat.blocks ?? Infinity) * 512);
  }
  return { paths: paths.filter((_, index) => used.has(index)), bytes };
}

/** Keeps what a file system has, without the times that nobody restores. */
const AS_IT_IS = [
  "--format=posix",
  "--pax-option=delete=atime,delete=ctime",
  "--sparse",
];

/**
 * Packs paths of a workspace that nothing writes to any more. Symlinks are packed as symlinks.
 *
 * @returns The size of the unpacked archive.
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
): Promise<number> {
  const relative = paths.map((path) => `./${path.replace(/\/$/, "")}`);
  const args = ["--create", `--file=${archive}`, `--directory=${workspace}`, ...AS_IT_IS];
  const { code, bytes } = await tar(archiver, [...args, "--", ...relative], signal);
  if (code === 0) return bytes;
  throw new CicdError(
    "io_failed",
    `tar ended with code ${code}; a file could not be read, or the disk is full`,
  );
}

/**
 * Unpacks an archive into an empty directory.
 *
 * @returns The size of the unpacked archive.
 * @throws {CicdError} `io_failed` if the archive is damaged.
 */
export async function extract(
  archiver: Archiver,
  { archive, to }: { readonly archive: string; readonly to: string },
  signal: AbortSignal,
): Promise<number> {
  // The modes exactly, whatever the umask.
  const own = ["--no-same-owner", "--same-permissions"];
  const args = ["--extract", `--file=${archive}`, `--directory=${to}`, ...own];
  const { code, bytes } = await tar(archiver, args, signal);
  if (code !== 0) throw new CicdError("io_failed", `tar ended with code ${code}`);
  return bytes;
}

/**
 * Moves the paths of a cache from `stage`, the unpacked archive, into the workspace. Files of the
 * checkout stay as they are.
 *
 * @returns The paths that the archive had.
 * @throws {CicdError} `io_failed` if a symlink of the checkout is in the way; nothing is moved then.
 */
export function place(
  { stage, workspace, paths }: {
    readonly stage: string;
    readonly workspace: string;
    readonly paths: readonly string[];
  },
  signal: AbortSignal,
): readonly string[] {
  using to = openDirectory(workspace);
  refuseLinks(to, paths);
  using from = openDirectory(stage);
  const restored: string[] = [];
  for (const path of paths) {
    signal.throwIfAborted();
    if (movePath(from, to, path)) restored.push(path);
  }
  return restored;
}

async function tar(
  { run, env, packing }: Archiver,
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly code: number; readonly bytes: number }> {
  const argv = ["tar", ...(packing === "zstd" ? ["--zstd"] : []), "--totals", ...args];
  const { code, stderr } = await run(argv, {
    ...{ env, signal },
    timeoutMs: TIMEOUT_MS,
    maxBytes: STDERR_MAX_BYTES,
  });
  return { code, bytes: Number(/^Total bytes (?:written|read): (\d+)/m.exec(stderr)?.[1] ?? 0) };
}

/** The total follows the warnings, such as one for each socket. */
const STDERR_MAX_BYTES = 1024 * 1024;

/** @throws {CicdError} `io_failed` if a path is or leads through a symlink. */
function refuseLinks(top: Directory, paths: readonly string[]): void {
  for (const path of paths) {
    const link = linkOn(top, partsOf(path));
    if (link === undefined) continue;
    throw new CicdError("io_failed", `"${link}" is a link; use the path to which it leads`);
  }
}

/** Returns the first symlink on a path. */
function linkOn(top: Directory, parts: readonly string[]): string | undefined {
  using stack = new DisposableStack();
  let directory = top;
  for (const [index, part] of parts.entries()) {
    const kind = directory.look(part);
    if (kind === "link") return parts.slice(0, index + 1).join("/");
    if (kind !== "directory" || index === parts.length - 1) return undefined;
    directory = stack.use(directory.directory(part));
  }
  return undefined;
}

/** Returns false if there is nothing to move. */
function movePath(from: Directory, to: Directory, path: string): boolean {
  using source = existingParent(from, path);
  if (source === undefined) return false;
  const name = partsOf(path).at(-1) ?? "";
  if (source.look(name) === undefined) return false;
  using target = openParent(to, path).directory;
  move(source, target, name);
  return true;
}

function existingParent(top: Directory, path: string): Directory | undefined {
  let directory = top.again();
  for (const part of partsOf(path).slice(0, -1)) {
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

function partsOf(path: string): readonly string[] {
  return path.replace(/\/$/, "").split("/");
}

/** Moves an entry unless its place is taken; of two directories, moves each entry. */
function move(from: Directory, to: Directory, name: string): void {
  const there = to.look(name);
  // A name that is not UTF-8 cannot be looked up; it is not moved.
  if (from.look(name) === undefined) return;
  if (there === undefined) return to.take(name, from);
  if (there !== "directory" || from.look(name) !== "directory") return;
  // Nothing can be moved out of a directory that is not writable.
  Deno.chmodSync(from.at(name), 0o700);
  using source = from.directory(name);
  using target = to.directory(name);
  for (const entry of source.entries()) move(source, target, entry.name);
}
