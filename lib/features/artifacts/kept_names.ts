/**
 * The names under which artifacts are kept, with the job's secrets masked.
 *
 * A name must stay masked when the secrets are gone, so it is masked on disk. Two names that become
 * one get a number: `****`, `****~2`.
 *
 * @module
 */
import { attemptDirectory } from "@lib/spine/jobs/attempt_directory.ts";
import type { Job } from "@lib/spine/jobs/model.ts";
import { type Directory, openDirectory } from "@lib/foundations/files/directory.ts";
import { openInside, openParent } from "@lib/foundations/files/inside.ts";
import {
  type ArtifactFile,
  maskedResult,
  readArtifactList,
  writeArtifactList,
} from "@lib/features/artifacts/artifact_list.ts";

/** Chooses the names of one attempt's artifacts. */
export class KeptNames {
  readonly #mask: (text: string) => string;
  readonly #files = new Set<string>();
  readonly #directories = new Set<string>();
  /** The next number of a name that is taken. */
  readonly #next = new Map<string, number>();

  constructor(mask: (text: string) => string) {
    this.#mask = mask;
  }

  /** Returns a path with the secrets in it masked. */
  masked(path: string): string {
    return this.#mask(path);
  }

  /** Takes a name of its own for a file. */
  take(path: string): string {
    const parts = this.#mask(path).split("/");
    let name = "";
    for (const [at, part] of parts.entries()) {
      const isFile = at === parts.length - 1;
      const plain = name = name === "" ? part : `${name}/${part}`;
      while (this.#files.has(name) || (isFile && this.#directories.has(name))) {
        const number = this.#next.get(plain) ?? 2;
        this.#next.set(plain, number + 1);
        name = `${plain}~${number}`;
      }
      (isFile ? this.#files : this.#directories).add(name);
    }
    return name;
  }
}

/** Masks the names of a job's artifacts on disk, as an earlier release kept them. */
export async function maskKeptNames(
  stateDir: string,
  { id, attempt, spec: { project } }: Job,
  { mask, signal }: { readonly mask: (text: string) => string; readonly signal: AbortSignal },
): Promise<void> {
  for (let number = 1; number <= attempt; number++) {
    const directory = attemptDirectory(stateDir, { project, jobId: id, number });
    const list = await readArtifactList(directory.artifactList);
    if (list === undefined) continue;
    const names = new KeptNames(mask);
    const isMasked = ({ path }: ArtifactFile) => names.masked(path) !== path;
    // Names without a secret stay, so that nothing moves onto them.
    for (const { path } of list.files.filter((file) => !isMasked(file))) names.take(path);
    const files: ArtifactFile[] = [];
    for (const file of list.files) {
      signal.throwIfAborted();
      const path = isMasked(file) ? names.take(file.path) : file.path;
      files.push({ ...file, path });
      if (path !== file.path) move(directory.artifacts, file.path, path);
    }
    const masked = maskedResult({
      ...list,
      files,
      left_out: list.left_out.map(({ path, why }) => ({ path: mask(path), why: mask(why) })),
      unmatched: list.unmatched.map(mask),
    }, mask);
    if (JSON.stringify(masked) !== JSON.stringify(list)) {
      await writeArtifactList(directory.artifactList, masked);
    }
  }
}

/** Moves a file below `top` unless it was moved before, and removes the directories it leaves empty. */
function move(top: string, from: string, to: string): void {
  using found = openInside(top, from);
  if (found === undefined) return;
  using root = openDirectory(top);
  {
    const old = openParent(root, from);
    const own = openParent(root, to);
    using source = old.directory;
    using target = own.directory;
    target.take(own.name, source, old.name);
  }
  for (let path = from; path.includes("/");) {
    path = path.slice(0, path.lastIndexOf("/"));
    if (!removeEmpty(root, path)) return;
  }
}

/** Removes a directory; returns false if it is not empty. */
function removeEmpty(root: Directory, path: string): boolean {
  const { directory, name } = openParent(root, path);
  using parent = directory;
  using own = parent.directory(name);
  if (own.entries().length > 0) return false;
  parent.remove(name);
  return true;
}
