/**
 * Collects artifacts from a workspace.
 *
 * No process of the job lives any more, but its files may be hostile: symlinks to files of the
 * account, pipes that block a reader, names and trees without end.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { formatSize } from "@lib/core/size.ts";
import type { FileReader } from "@lib/foundations/files/file_reader.ts";
import { type Directory, openDirectory } from "@lib/foundations/files/directory.ts";
import { compileGlobs } from "@lib/foundations/files/glob.ts";
import { insidePathProblem, openParent } from "@lib/foundations/files/inside.ts";
import { type Found, walk } from "@lib/foundations/files/walk.ts";
import {
  type ArtifactFile,
  type ArtifactList,
  LEFT_OUT_SHOWN,
} from "@lib/features/artifacts/artifact_list.ts";
import { KeptNames } from "@lib/features/artifacts/kept_names.ts";

/** Options for {@linkcode collect}. */
interface CollectOptions {
  /** Trusted up to its last part; its content is not. */
  readonly workspace: string;
  /** An empty directory of our own, on the same file system if possible. */
  readonly target: string;
  readonly globs: readonly string[];
  /** Masks the job's secrets in names. */
  readonly mask: (text: string) => string;
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/** Collects regular files under their masked names; symlinks are not followed. */
export async function collect(
  { workspace, target, globs, mask, maxBytes, maxFiles }: CollectOptions,
  signal: AbortSignal,
): Promise<ArtifactList> {
  using from = openDirectory(workspace);
  using to = openDirectory(target);
  const set = compileGlobs(globs);
  const used = new Set<number>();
  const names = new KeptNames(mask);
  const files: ArtifactFile[] = [];
  const leftOut: { path: string; why: string }[] = [];
  let leftOutCount = 0;
  let bytes = 0;
  for await (const found of walk(from, set, signal)) {
    for (const number of found.takenBy) used.add(number);
    const room = { bytes: maxBytes - bytes, files: maxFiles - files.length, maxBytes, maxFiles };
    const kept = await keep(found, { to, names, room, signal });
    if (typeof kept === "string") {
      leftOutCount++;
      if (leftOut.length < LEFT_OUT_SHOWN) {
        leftOut.push({ path: shown(mask(found.path)), why: kept });
      }
      continue;
    }
    files.push(kept);
    bytes += kept.bytes;
  }
  return {
    version: 1,
    files,
    left_out: leftOut,
    left_out_count: leftOutCount,
    unmatched: set.patterns.filter((_, number) => !used.has(number)).map(mask),
  };
}

interface Room {
  readonly bytes: number;
  readonly files: number;
  readonly maxBytes: number;
  readonly maxFiles: number;
}

/** Keeps one file, or returns why it is left out. */
async function keep(
  { directory, name, path: found, kind, problem }: Found,
  { to, names, room, signal }: {
    readonly to: Directory;
    readonly names: KeptNames;
    readonly room: Room;
    readonly signal: AbortSignal;
  },
): Promise<ArtifactFile | string> {
  if (problem !== undefined) return problem;
  if (name.includes("\ufffd")) return "has a name that is not UTF-8";
  const pathProblem = insidePathProblem(found) ?? insidePathProblem(names.masked(found));
  if (pathProblem !== undefined) return `has a path that ${pathProblem}`;
  if (kind === "link") return "is a symbolic link";
  if (kind !== "file") return "is not a regular file";
  if (room.files <= 0) return `is beyond the limit of ${room.maxFiles} files`;
  const opened = openReadable(directory, name);
  if (typeof opened === "string") return opened;
  using file = opened;
  if (file.size > room.bytes) {
    return `does not fit with its ${formatSize(file.size)} into the limit of ${
      formatSize(room.maxBytes)
    }`;
  }
  const path = names.take(found);
  const parent = openParent(to, path);
  using target = parent.directory;
  const mode = 0o600 | (file.mode & 0o100);
  const own = parent.name;
  const linked = linkFile(file, { directory, name, target, own });
  if (linked !== undefined) {
    using kept = linked;
    return { path, bytes: kept.size, sha256: await kept.sha256(signal), mode };
  }
  const hash = createHash("sha256");
  const hashed = async function* () {
    for await (const chunk of file.chunks(signal, { to: file.size })) {
      hash.update(chunk);
      yield chunk;
    }
  };
  const bytes = await target.writeFile(own, hashed(), mode);
  return { path, bytes, sha256: hash.digest("hex"), mode };
}

function openReadable(directory: Directory, name: string): FileReader | string {
  try {
    return directory.file(name) ?? "is not a regular file";
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return "cannot be read";
    throw error;
  }
}

/**
 * Hard-links the file into the artifacts, which costs nothing; its first name is removed with the
 * workspace.
 *
 * @returns `undefined` if it must be copied: it has other names, by which it could still change,
 * belongs to someone else, or lies on another file system.
 */
function linkFile(
  file: FileReader,
  { directory, name, target, own }: {
    readonly directory: Directory;
    readonly name: string;
    readonly target: Directory;
    /** The name in `target`. */
    readonly own: string;
  },
): FileReader | undefined {
  if (file.links !== 1 || !file.isOwn) return undefined;
  try {
    target.link(own, directory, name);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
  const linked = target.file(own);
  // A different file: it was replaced in between.
  if (linked?.identity === file.identity && linked.links === 2) return linked;
  linked?.[Symbol.dispose]();
  target.remove(own);
  return undefined;
}

/** Makes a path printable, whatever a job named its files. */
function shown(path: string): string {
  const plain = path.replace(/\p{Cc}/gu, "\ufffd");
  return plain.length > 200 ? `${plain.slice(0, 200)}…` : plain;
}
